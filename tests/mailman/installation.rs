//! The Mailman that `tests/run mailman` installs, and a folder with two lists to begin with.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::folder::Folder;
use crate::lists::{ANT, BEES, List, OWNER};

/// The ports of a folder in which no Mailman was started yet.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// One of its programs.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mailman/venv/bin").join(name)
}

/// Why there is none here.
pub(crate) fn missing() -> Option<String> {
    let is_there = program("mailman").is_file() && program("master").is_file();
    (!is_there).then(|| "Mailman is not installed, which `tests/run mailman` does with Python 3.11 or 3.12".into())
}

/// Mailman's command. The folder is its whole world.
pub(crate) fn mailman(folder: &Path, arguments: &[&str], input: &str) -> Result<String, Failed> {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program("mailman")).arg("--run-as-root").arg("-C").arg(folder.join("mailman.cfg"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // It may not read it at all.
    let _ = child.stdin.take().ok_or("no input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let said = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => Err(format!("mailman {arguments:?}: {}: {}", output.status, said(&output.stderr)).into()),
    }
}

/// Who is on a list, as the database of the folder has it. Mailman's command says the same after 2 s of a processor's time.
pub(crate) fn members(folder: &Path, list: &List) -> Result<Vec<String>, Failed> {
    let mut command = Command::new(program("python3"));
    command.args(["-S", "-c", MEMBERS]).arg(folder.join("var/data/mailman.db")).arg(list.address.replacen('@', ".", 1));
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Role 1 is a member; others are owners, moderators, and who posted without being one.
const MEMBERS: &str = r#"
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=20)
query = """SELECT email FROM member JOIN address ON address.id = address_id
           WHERE list_id = ? AND role = 1 ORDER BY email"""
for email, in database.execute(query, sys.argv[2:]):
    print(email)
"#;

/// A folder with both lists, of which each Mailman gets a copy: to make it takes as long as to start one.
pub(crate) fn template() -> Result<Folder, Failed> {
    let folder = Folder::new()?;
    configure(folder.path(), NOBODY, NOBODY)?;
    for List { address, members } in [&ANT, &BEES] {
        mailman(folder.path(), &["create", "-q", "-o", OWNER, address], "")?;
        mailman(folder.path(), &["addmembers", "-W", "-", address], &members.join("\n"))?;
    }
    Ok(folder)
}

/// A copy that has these ports.
pub(crate) fn copy(template: &Folder, lmtp: SocketAddr, outgoing: SocketAddr) -> Result<Folder, Failed> {
    let folder = Folder::new()?;
    let status = Command::new("cp").arg("-a").arg(template.path().join("var")).arg(folder.path()).status()?;
    if !status.success() {
        return Err(format!("cp: {status}").into());
    }
    configure(folder.path(), lmtp, outgoing)?;
    // `mailman start` would write the map anew; what is started here is the program behind it, which does not.
    let map = folder.path().join("var/data/postfix_lmtp");
    let place = |address: SocketAddr| format!("lmtp:[{}]:{}", address.ip(), address.port());
    std::fs::write(&map, std::fs::read_to_string(&map)?.replace(&place(NOBODY), &place(lmtp)))?;
    Ok(folder)
}

fn configure(folder: &Path, lmtp: SocketAddr, outgoing: SocketAddr) -> Result<(), Failed> {
    let configuration = include_str!("mailman.cfg")
        .replace("FOLDER", &folder.display().to_string())
        .replace("lmtp_port: LMTP", &format!("lmtp_port: {}", lmtp.port()))
        .replace("smtp_port: SMTP", &format!("smtp_port: {}", outgoing.port()));
    std::fs::write(folder.join("mailman.cfg"), configuration)?;
    // The maps are text: what would make Postfix's databases of them is a program that does nothing.
    std::fs::write(folder.join("postfix.cfg"), "[postfix]\npostmap_command: /bin/true\ntransport_file_type: hash\n")?;
    Ok(())
}
