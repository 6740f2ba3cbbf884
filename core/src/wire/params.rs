//! ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.2).
