//! The versions of Python, and what of ours stands for each.

use smtpd_std::{Config, Form};

use crate::defects::{self, Defect};

pub(crate) struct Version {
    pub(crate) number: &'static str,
    /// What its interpreters are called.
    pub(crate) programs: [&'static str; 2],
    pub(crate) config: fn(&'static str) -> Config<'static>,
    pub(crate) form: Form,
    /// The greeting with which most is allowed.
    pub(crate) hello: &'static str,
    /// The states, and the way to each.
    pub(crate) states: &'static [(&'static str, &'static [&'static str])],
    /// Whether it has limits of its own.
    pub(crate) has_limits: bool,
    pub(crate) defects: &'static [Defect],
}

pub(crate) static VERSIONS: &[Version] = &[
    Version {
        number: "3.11",
        programs: ["python3", "python3.11"],
        config: Config::python_3_11,
        form: Form::Bytes,
        hello: "EHLO c",
        states: &[
            ("new", &[]),
            ("after_helo", &["HELO c"]),
            ("after_ehlo", &["EHLO c"]),
            ("after_mail", &["EHLO c", "MAIL FROM:<m@m>"]),
            ("after_rcpt", &["EHLO c", "MAIL FROM:<m@m>", "RCPT TO:<r@r>"]),
            ("after_rcpt_without_ehlo", &["HELO c", "MAIL FROM:<m@m>", "RCPT TO:<r@r>"]),
        ],
        has_limits: true,
        defects: defects::PYTHON_3_11,
    },
    Version {
        number: "2.7",
        programs: ["python2", "python2.7"],
        config: Config::python_2_7,
        form: Form::Python2_7,
        hello: "HELO c",
        states: &[
            ("new", &[]),
            ("after_helo", &["HELO c"]),
            ("after_mail", &["HELO c", "MAIL FROM:<m@m>"]),
            ("after_mail_without_helo", &["MAIL FROM:<m@m>"]),
            ("after_rcpt", &["HELO c", "MAIL FROM:<m@m>", "RCPT TO:<r@r>"]),
            ("after_rcpt_without_helo", &["MAIL FROM:<m@m>", "RCPT TO:<r@r>"]),
        ],
        has_limits: false,
        defects: defects::PYTHON_2_7,
    },
];
