//! Through the proxy: what Mailman owns gets to Mailman, all else upstream.

use libtest_mimic::Failed;

use crate::client::{Mail, Way, subject};
use crate::collector::Collector;
use crate::core::Core;
use crate::lists::{self, ANNE, ANT, BEES};
use crate::proxy::Proxy;

/// Whom only the upstream server knows.
pub(crate) const FRIEND: &str = "friend@example.net";

/// A proxy between a Mailman and an upstream server.
pub(crate) struct Setting<'a> {
    pub(crate) core: &'a Core,
    pub(crate) upstream: Collector,
    pub(crate) proxy: Proxy,
}

impl<'a> Setting<'a> {
    /// Runs a test with one, and says what the proxy said where it fails.
    pub(crate) fn run(core: &'a Core, test: impl FnOnce(&Self) -> Result<(), Failed>) -> Result<(), Failed> {
        let upstream = Collector::start()?;
        let proxy = Proxy::start(core.lmtp, &core.maps(), upstream.address)?;
        let setting = Self { core, upstream, proxy };
        test(&setting).map_err(|failed| {
            let why = failed.message().unwrap_or_default();
            format!("{why}\n--- the proxy said\n{}", setting.proxy.said()).into()
        })
    }

    pub(crate) fn way(&self) -> Way {
        Way::Proxy(self.proxy.address)
    }

    /// What was sent upstream before has come.
    pub(crate) fn upstream_barrier(&self) -> Result<(), Failed> {
        let mail = Mail::new(ANNE, &[FRIEND], &subject("barrier"));
        self.way().send(&mail)?;
        self.upstream.wait("the barrier", |post| post.is_about(&mail.subject)).map(drop)
    }

    /// A mail to [`ANT`] and [`FRIEND`] came once for each.
    pub(crate) fn both_once(&self, mail: &Mail) -> Result<(), Failed> {
        self.core.came_once(&ANT, &mail.subject)?;
        self.upstream_barrier()?;
        self.upstream.has(&mail.subject, &[FRIEND], 1)?;
        self.upstream.has(&mail.subject, &[ANT.address], 0)
    }

    /// And for nobody.
    pub(crate) fn both_never(&self, mail: &Mail) -> Result<(), Failed> {
        self.core.came_never(&ANT, &mail.subject)?;
        self.upstream_barrier()?;
        self.upstream.has(&mail.subject, &[FRIEND, ANT.address], 0)
    }
}

/// A mail to [`ANT`] and [`FRIEND`].
pub(crate) fn mixed(what: &str) -> Mail {
    Mail::new(ANNE, &[ANT.address, FRIEND], &subject(what))
}

pub(crate) fn posts(setting: &Setting<'_>) -> Result<(), Failed> {
    lists::post(setting.core, setting.way(), &ANT)
}

pub(crate) fn dash(setting: &Setting<'_>) -> Result<(), Failed> {
    lists::post(setting.core, setting.way(), &BEES)?;
    lists::join_and_leave(setting.core, setting.way(), "fire-ants")
}

pub(crate) fn join_and_leave(setting: &Setting<'_>) -> Result<(), Failed> {
    lists::join_and_leave(setting.core, setting.way(), "wasps")
}

pub(crate) fn owner(setting: &Setting<'_>) -> Result<(), Failed> {
    lists::owner(setting.core, setting.way(), &ANT)?;
    lists::owner(setting.core, setting.way(), &BEES)
}

pub(crate) fn bounces(setting: &Setting<'_>) -> Result<(), Failed> {
    lists::bounces(setting.core, setting.way(), &ANT)?;
    lists::bounces(setting.core, setting.way(), &BEES)
}

/// Mailman has its text say which list is meant, so that is in small letters here.
pub(crate) fn letter_case(setting: &Setting<'_>) -> Result<(), Failed> {
    let mail = Mail::new(ANNE, &[ANT.address], &subject("in capitals"));
    setting.way().send(&mail.only_to(&["ANT@Example.COM"]))?;
    setting.core.came_once(&ANT, &mail.subject)
}

/// Python's took any domain for Mailman's, and `ant-admin` for an address.
pub(crate) fn not_in_map(setting: &Setting<'_>) -> Result<(), Failed> {
    let others = ["cat@example.com", "ant-admin@example.com", "ant@example.net", "ant-owner-owner@example.com"];
    let mail = Mail::new(ANNE, &others, &subject("not Mailman's"));
    setting.way().send(&mail)?;
    setting.upstream.wait(&format!("{:?}", mail.subject), |post| post.is_about(&mail.subject))?;
    setting.upstream.has(&mail.subject, &others, 1)?;
    setting.core.came_never(&ANT, &mail.subject)
}
