//! Becoming nobody, once the ports are bound.

use nix::unistd::{User, setgid, setgroups, setuid};

/// Python's words.
pub(crate) const NOT_DROPPED: &str = "Cannot setuid \"nobody\"; try running with -n option.";

/// Changes user, group and further groups to those of `nobody`, for good.
pub(crate) fn drop() -> Result<(), ()> {
    let nobody = User::from_name("nobody").ok().flatten().ok_or(())?;
    setgroups(&[]).map_err(|_| ())?;
    setgid(nobody.gid).map_err(|_| ())?;
    setuid(nobody.uid).map_err(|_| ())
}
