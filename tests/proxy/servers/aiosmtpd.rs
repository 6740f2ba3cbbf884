//! aiosmtpd, which `tests/run` puts in target/clients/venv.

use libtest_mimic::Failed;

use super::{Keeps, Running, Server, kept_by_script, no_file};
use crate::process::{Folder, Process, free_address, wait_for};

pub(crate) const SERVER: Server = Server { name: "aiosmtpd", missing, start, keeps: Keeps::AsItCame };

const PYTHON: &str = "target/clients/venv/bin/python";

fn missing() -> Option<String> {
    no_file("target/clients/venv/bin/aiosmtpd", "pip: aiosmtpd, in target/clients/venv")
}

fn start() -> Result<Running, Failed> {
    let folder = Folder::new("aiosmtpd")?;
    let address = free_address()?;
    let kept = folder.open("kept")?;
    let process = Process::run(&folder, &[PYTHON, "tests/proxy/servers/keep.py", &kept, &address.port().to_string()])?;
    wait_for(address, &folder)?;
    Ok(Running { address, arrivals: kept_by_script, kept: kept.into(), _process: process, _folder: folder })
}
