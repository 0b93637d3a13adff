//! Packets to flow facts: the native core of Edgewarden.
//!
//! Strategy: a core without I/O and without a clock. Bytes of captures go in (`capture`), are taken apart layer by
//! layer (`packet`), gathered in one table (`flow`), read for the protocol they carry (`classify`, `proto`) and leave
//! as Arrow batches (`batch`). Time comes with the packets, so that a replay gives the same answer in any chunking.
//! Nothing here says "bad": judging is done in Python, over the numbers this crate hands out.
#![forbid(unsafe_code)]

pub mod batch;
pub mod capture;
pub mod certificate;
pub mod classify;
pub mod community_id;
pub mod cursor;
pub mod engine;
pub mod facts;
pub mod flow;
mod minutes;
pub mod observation;
pub mod packet;
pub mod proto;
pub mod tables;
pub mod text;

#[cfg(feature = "python")]
mod py;
