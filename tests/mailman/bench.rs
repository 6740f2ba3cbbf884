//! The Mailmans of all tests: to start one takes 4 s of two processors.

use std::sync::{Mutex, OnceLock};

use libtest_mimic::Failed;

use crate::collector::lock;
use crate::core::Core;
use crate::folder::Folder;
use crate::installation;

/// Nothing is started before a test asks for it; all that was started ends when this is dropped.
#[derive(Default)]
pub(crate) struct Bench {
    shared: OnceLock<Result<Core, String>>,
    alone: Mutex<Option<Core>>,
    template: OnceLock<Result<Folder, String>>,
}

impl Bench {
    /// Runs a test that disturbs nobody.
    pub(crate) fn shared(&self, test: impl FnOnce(&Core) -> Result<(), Failed>) -> Result<(), Failed> {
        let core = self.shared.get_or_init(|| self.start().map_err(|failed| text(&failed))).as_ref()?;
        test(core).map_err(|failed| core.explain(&failed))
    }

    /// Runs a test with one that nobody else uses meanwhile. Where it fails, the next test gets another.
    pub(crate) fn alone(&self, test: impl FnOnce(&Core) -> Result<(), Failed>) -> Result<(), Failed> {
        let mut alone = lock(&self.alone);
        let core = match alone.take() {
            Some(core) => core,
            None => self.start()?,
        };
        test(&core).map_err(|failed| core.explain(&failed))?;
        *alone = Some(core);
        Ok(())
    }

    fn start(&self) -> Result<Core, Failed> {
        let template = self.template.get_or_init(|| installation::template().map_err(|failed| text(&failed)));
        Core::start(template.as_ref()?)
    }
}

fn text(failed: &Failed) -> String {
    failed.message().unwrap_or_default().to_owned()
}
