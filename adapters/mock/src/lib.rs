//! Tests of SMTP code without a network.
