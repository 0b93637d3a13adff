//! Why a message that was read from the front came to nothing: it is too short to tell, or can never be right. Readers that
//! check each octet as they meet it say by `?` and `must` which of the two it is, and get their probe for nothing.

use super::{Probe, Step};
use crate::cursor::Short;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Right as far as it goes.
    Short,
    /// No message begins like this.
    Wrong,
}

impl From<Short> for Fault {
    fn from(_: Short) -> Fault {
        Fault::Short
    }
}

impl Fault {
    /// What a stream reader says that has consumed so much and finds the next message at fault.
    pub fn after(self, consumed: usize) -> Step {
        match self {
            Fault::Short => Step::More(consumed),
            Fault::Wrong => Step::Broken,
        }
    }
}

/// What a probe says of bytes that were read so far.
pub fn answer<T>(read: &Result<T, Fault>) -> Probe {
    match read {
        Ok(_) => Probe::Yes,
        Err(Fault::Short) => Probe::More,
        Err(Fault::Wrong) => Probe::No,
    }
}

/// `Wrong` unless it holds.
pub fn must(holds: bool) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Wrong)
    }
}
