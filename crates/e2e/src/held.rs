//! A thread of a program that stands still, while all its others go on.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A thread that is held, as by a debugger, until this is dropped. A signal would hold the whole
/// process. It goes on by the thread that holds it only.
pub struct Held(Pid);

impl Held {
    /// Holds the thread of a program that we started.
    pub fn new(thread: i32) -> Self {
        let thread = Pid::from_raw(thread);
        ptrace::attach(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        ptrace::detach(self.0, None).unwrap();
    }
}
