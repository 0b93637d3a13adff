//! What every test of a stream reader needs: one conversation told whole, byte by byte and cut at each offset must teach
//! the same. Plays the part that `classify` has: keeps what was not consumed and offers it again.

use super::{Context, Step, StreamReader};
use crate::certificate::Certificates;
use crate::facts::{Facts, Service, Side};

/// How a conversation ended.
#[derive(Debug)]
pub struct Told {
    pub facts: Facts,
    pub step: Step,
    /// Octets of each side that the reader took.
    pub consumed: [usize; 2],
}

/// Gives `facts` to a reader's function.
pub fn with_context<T>(facts: &mut Facts, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
    let mut certificates = Certificates::default();
    act(&mut Context {
        facts,
        certificates: &mut certificates,
        time: 0,
    })
}

/// Tells the segments in order until the reader has heard enough.
pub fn tell<'a>(reader: &mut dyn StreamReader, segments: impl IntoIterator<Item = (Side, &'a [u8])>) -> Told {
    let mut told = Told {
        facts: Facts::default(),
        step: Step::More(0),
        consumed: [0, 0],
    };
    let mut pending: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    for (side, segment) in segments {
        let own = side.index();
        pending[own].extend_from_slice(segment);
        // A reader may have held one side's bytes until the other spoke.
        for side in [side, side.other()] {
            let own = side.index();
            while !pending[own].is_empty() {
                told.step = with_context(&mut told.facts, |context| reader.advance(side, &pending[own], context));
                let taken = match told.step {
                    Step::More(taken) | Step::Switch(taken) => taken,
                    Step::Done | Step::Broken => 0,
                };
                assert!(taken <= pending[own].len(), "took {taken} of {}", pending[own].len());
                told.consumed[own] += taken;
                pending[own].drain(..taken);
                match told.step {
                    Step::More(0) => break,
                    Step::More(_) => {}
                    _ => return told,
                }
            }
        }
    }
    told
}

/// Tells `turns` in every segmentation and returns what the whole one taught.
pub fn every_split<R: StreamReader>(make: impl Fn() -> R, turns: &[(Side, &[u8])]) -> Told {
    let whole = tell(&mut make(), turns.iter().copied());
    let same = |other: Told, how: &str| {
        assert_eq!(format!("{:?}", other.facts), format!("{:?}", whole.facts), "{how}");
        let (other_step, step) = (std::mem::discriminant(&other.step), std::mem::discriminant(&whole.step));
        assert_eq!(other_step, step, "{how}");
        if matches!(whole.step, Step::Switch(_)) {
            assert_eq!(
                other.consumed, whole.consumed,
                "{how}: the next protocol begins elsewhere"
            );
        }
    };
    let bytes = turns
        .iter()
        .flat_map(|&(side, turn)| turn.chunks(1).map(move |byte| (side, byte)));
    same(tell(&mut make(), bytes), "byte by byte");
    for (which, (_, turn)) in turns.iter().enumerate() {
        for at in 1..turn.len() {
            let segments = turns.iter().enumerate().flat_map(|(n, &(side, bytes))| {
                let at = if n == which { at } else { 0 };
                [(side, &bytes[..at]), (side, &bytes[at..])]
            });
            same(tell(&mut make(), segments), &format!("turn {which} cut at {at}"));
        }
    }
    whole
}

/// Octets that one side says in these turns.
pub fn length_of(turns: &[(Side, &[u8])], side: Side) -> usize {
    turns
        .iter()
        .filter(|(of, _)| *of == side)
        .map(|(_, turn)| turn.len())
        .sum()
}

/// A talk whose last turn is of the protocol behind: all before it is `service`, which A opened.
pub fn hands_over<R: StreamReader>(make: impl Fn() -> R, service: Service, talk: &[(Side, &[u8])]) {
    let told = every_split(&make, talk);
    assert_eq!(
        (told.facts.services(), told.facts.opener),
        (&[service][..], Some(Side::A))
    );
    assert!(matches!(told.step, Step::Switch(_)), "{:?}", told.step);
    let negotiated = &talk[..talk.len() - 1];
    assert_eq!(told.consumed, Side::BOTH.map(|side| length_of(negotiated, side)));
    every_truncation(&make, talk);
}

/// Cuts the conversation short after each octet: nothing to assert but that the reader stays in bounds.
pub fn every_truncation<R: StreamReader>(make: impl Fn() -> R, turns: &[(Side, &[u8])]) {
    let total: usize = turns.iter().map(|(_, bytes)| bytes.len()).sum();
    for length in 0..total {
        let mut left = length;
        let segments = turns.iter().map(|&(side, bytes)| {
            let part = &bytes[..left.min(bytes.len())];
            left -= part.len();
            (side, part)
        });
        tell(&mut make(), segments);
    }
}

/// A probe must answer More for each beginning of what it answers Yes to, until it does.
pub fn probe_waits(probe: impl Fn(&[u8]) -> super::Probe, bytes: &[u8]) {
    let mut before = super::Probe::More;
    for length in 0..=bytes.len() {
        let now = probe(&bytes[..length]);
        assert_ne!(now, super::Probe::No, "after {length} octets");
        assert!(
            now == super::Probe::Yes || before == super::Probe::More,
            "changed its mind after {length} octets"
        );
        before = now;
    }
    assert_eq!(before, super::Probe::Yes);
}
