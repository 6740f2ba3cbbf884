//! Exim, which `tests/run` puts in target/clients/exim, since Debian has either it or Postfix: it gives each mail to a
//! program that keeps it.

use std::fs;

use libtest_mimic::Failed;
use nix::unistd::{User, chown};

use super::{KEEP, Keeps, Running, Server, kept_by_script, no_file, not_root};
use crate::process::{Folder, Process, free_address, wait_for};

pub(crate) const SERVER: Server = Server { name: "exim", missing, start, keeps: Keeps::Exim };

const PROGRAM: &str = "target/clients/exim/usr/sbin/exim4";
/// Exim does not start without it.
const USER: &str = "Debian-exim";

fn missing() -> Option<String> {
    let no_user = || match User::from_name(USER) {
        Ok(Some(_)) => None,
        _ => Some(format!("there is no user {USER}")),
    };
    no_file(PROGRAM, "Debian: exim4-daemon-light, unpacked").or_else(not_root).or_else(no_user)
}

fn start() -> Result<Running, Failed> {
    let folder = Folder::new("exim")?;
    let address = free_address()?;
    let kept = folder.open("kept")?;
    let keep = folder.program("keep.sh", KEEP)?;
    // It starts itself again as its user, who may not look into the project's folder.
    let exim = folder.program("exim4", &fs::read(PROGRAM)?)?;
    let (spool, configuration) = (folder.of("spool"), folder.of("configuration"));
    fs::create_dir(&spool)?;
    let user = User::from_name(USER)?.ok_or("there is no such user")?;
    chown(spool.as_str(), Some(user.uid), Some(user.gid))?;
    let text = format!(
        "exim_path = {exim}\n\
        spool_directory = {spool}\n\
        log_file_path = {spool}/%slog\n\
        pid_file_path = {spool}/pid\n\
        primary_hostname = mx.example.org\n\
        local_interfaces = 127.0.0.1\n\
        daemon_smtp_ports = {}\n\
        tls_advertise_hosts =\n\
        acl_smtp_rcpt = accept\n\
        recipients_max = 1000\n\
        message_size_limit = 20M\n\
        smtp_accept_max = 100\n\
        smtp_accept_queue_per_connection = 0\n\
        keep_environment =\n\
        never_users =\n\
        deliver_drop_privilege = true\n\
        begin routers\n\
        keep:\n  driver = accept\n  transport = keep\n\
        begin transports\n\
        keep:\n  driver = pipe\n  command = {keep} {kept} - $pipe_addresses\n  user = {USER}\n  batch_max = 1000\n  \
        message_prefix =\n  message_suffix =\n  log_output = true\n\
        begin retry\n\
        * * F,1m,1s\n",
        address.port()
    );
    fs::write(&configuration, text)?;
    let process = Process::run(&folder, &[&exim, "-C", &configuration, "-bdf"])?;
    wait_for(address, &folder)?;
    Ok(Running { address, arrivals: kept_by_script, kept: kept.into(), _process: process, _folder: folder })
}
