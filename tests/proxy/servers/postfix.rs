//! Postfix, with a configuration, a queue and a port of its own: it gives each mail to a program that keeps it.

use std::fs;

use libtest_mimic::Failed;
use nix::unistd::{User, chown};

use super::{KEEP, Keeps, Running, Server, kept_by_script, no_file, not_root};
use crate::process::{Folder, Process, free_address, wait_for};

pub(crate) const SERVER: Server = Server { name: "postfix", missing, start, keeps: Keeps::Postfix };

fn missing() -> Option<String> {
    no_file("/usr/sbin/postfix", "Debian: postfix").or_else(not_root)
}

fn start() -> Result<Running, Failed> {
    let folder = Folder::new("postfix")?;
    let address = free_address()?;
    let kept = folder.open("kept")?;
    let keep = folder.program("keep.sh", KEEP)?;
    let configuration = folder.of("configuration");
    for name in ["configuration", "queue", "data"] {
        fs::create_dir(folder.of(name))?;
    }
    let postfix = User::from_name("postfix")?.ok_or("there is no user postfix")?;
    chown(folder.of("data").as_str(), Some(postfix.uid), None)?;
    fs::write(folder.of("configuration/main.cf"), main(&folder))?;
    fs::write(folder.of("configuration/master.cf"), master(&address.to_string(), &keep, &kept))?;
    let script = r#"trap "" INT; postfix -c "$1" start; cat; postfix -c "$1" stop"#;
    let process = Process::script(&folder, script, &[&configuration])?;
    wait_for(address, &folder)?;
    Ok(Running { address, arrivals: kept_by_script, kept: kept.into(), _process: process, _folder: folder })
}

/// No names are looked up, and nothing but `Received:` is added to a mail. A line or a header that is longer than its limit
/// would be cut or wrapped. A bare LF ends a line, as it always did before Postfix 3.9.
fn main(folder: &Folder) -> String {
    let path = folder.path().display();
    format!(
        "compatibility_level = 3.6\n\
        queue_directory = {path}/queue\n\
        data_directory = {path}/data\n\
        maillog_file = {path}/log\n\
        maillog_file_prefixes = {path}\n\
        myhostname = mx.example.org\n\
        mydestination =\n\
        local_recipient_maps =\n\
        alias_maps =\n\
        alias_database =\n\
        inet_interfaces = 127.0.0.1\n\
        inet_protocols = ipv4\n\
        mynetworks = 127.0.0.0/8\n\
        smtpd_peername_lookup = no\n\
        disable_dns_lookups = yes\n\
        default_transport = keep\n\
        keep_destination_recipient_limit = 1000\n\
        local_header_rewrite_clients =\n\
        message_drop_headers =\n\
        disable_mime_input_processing = yes\n\
        message_size_limit = 20971520\n\
        mailbox_size_limit = 0\n\
        smtpd_forbid_bare_newline = no\n\
        line_length_limit = 16384\n"
    )
}

/// The services that mails pass, and those that they ask.
fn master(address: &str, keep: &str, kept: &str) -> String {
    format!(
        "{address} inet n - n - - smtpd\n\
        cleanup unix n - n - 0 cleanup\n\
        qmgr unix n - n 300 1 qmgr\n\
        rewrite unix - - n - - trivial-rewrite\n\
        proxymap unix - - n - - proxymap\n\
        bounce unix - - n - 0 bounce\n\
        defer unix - - n - 0 bounce\n\
        trace unix - - n - 0 bounce\n\
        error unix - - n - - error\n\
        retry unix - - n - - error\n\
        anvil unix - - n - 1 anvil\n\
        showq unix n - n - - showq\n\
        postlog unix-dgram n - n - 1 postlogd\n\
        keep unix - n n - 8 pipe flags= user=nobody null_sender= argv={keep} {kept} ${{sender}} ${{recipient}}\n"
    )
}
