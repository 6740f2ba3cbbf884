//! The board asks QEMU's own network for its address.

use libtest_mimic::Failed;

use crate::mail::in_a_row;
use crate::qemu::{Board, Setup, free_port};

/// Mails in a row, at an address that is not the one in `network.rs`.
pub(crate) fn mails() -> Result<(), Failed> {
    let port = free_port()?;
    // Without an address the port is forwarded to the first one that is given away.
    let cable = format!(
        "user,model=stellaris,net=10.0.2.0/24,dhcpstart=10.0.2.77,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:25"
    );
    let mut board = Board::with("mailbox+dhcp", &Setup { cable: Some(cable), ..Setup::default() })?;
    board.port = port;
    board.logs(|line| line == "INFO  dhcp: 10.0.2.77/24")?;
    in_a_row(&board, 12, 6)?;
    let news = board.log().iter().filter(|line| line.starts_with("INFO  dhcp")).count();
    (news == 1).then_some(()).ok_or_else(|| board.fails("the address did not stay"))
}
