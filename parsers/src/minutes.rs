//! Counts by minute of packet time, of one flow: bounded, for flows that live for days.

/// Minutes kept; then the quietest gives way. What is asked of them is where the peaks are, and four hours of talk in
/// each minute are there whole.
const KEPT: usize = 256;

const MINUTE: i64 = 60_000_000_000;

/// What was counted in one minute since 1970, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minute<const KINDS: usize> {
    pub minute: u32,
    pub counts: [u32; KINDS],
}

#[derive(Debug, Clone)]
pub struct Minutes<const KINDS: usize>(Vec<Minute<KINDS>>);

impl<const KINDS: usize> Default for Minutes<KINDS> {
    fn default() -> Self {
        Minutes(Vec::new())
    }
}

impl<const KINDS: usize> Minutes<KINDS> {
    pub fn add(&mut self, kind: usize, found: u32, time: i64) {
        let minute = u32::try_from(time.div_euclid(MINUTE)).unwrap_or(0);
        // Packets come nearly in order, so that a known minute stands at the end.
        let at = match self.0.iter().rposition(|known| known.minute == minute) {
            Some(at) => at,
            None => {
                if self.0.len() >= KEPT {
                    self.drop_the_quietest();
                }
                self.0.push(Minute {
                    minute,
                    counts: [0; KINDS],
                });
                self.0.len().saturating_sub(1)
            }
        };
        if let Some(count) = self.0.get_mut(at).and_then(|known| known.counts.get_mut(kind)) {
            *count = count.saturating_add(found);
        }
    }

    /// One of the last minute was none.
    pub fn take_back(&mut self, kind: usize) {
        if let Some(count) = self.0.last_mut().and_then(|known| known.counts.get_mut(kind)) {
            *count = count.saturating_sub(1);
        }
        if self
            .0
            .last()
            .is_some_and(|known| known.counts.iter().all(|count| *count == 0))
        {
            self.0.pop();
        }
    }

    pub fn kept(&self) -> &[Minute<KINDS>] {
        &self.0
    }

    #[cfg(test)]
    pub fn total(&self, kind: usize) -> u64 {
        let counts = self.0.iter().filter_map(|known| known.counts.get(kind));
        counts.map(|count| u64::from(*count)).sum()
    }

    fn drop_the_quietest(&mut self) {
        let busiest = |minute: &Minute<KINDS>| minute.counts.iter().copied().max();
        if let Some((at, _)) = self.0.iter().enumerate().min_by_key(|(_, minute)| busiest(minute)) {
            self.0.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_kind_and_minute() {
        let mut minutes = Minutes::<2>::default();
        minutes.add(0, 1, 60 * MINUTE - 1);
        minutes.add(1, 2, 60 * MINUTE);
        minutes.add(0, 3, 59 * MINUTE);
        minutes.add(0, 1, -5);
        let minute = |minute, counts| Minute { minute, counts };
        let expected = [minute(59, [4, 0]), minute(60, [0, 2]), minute(0, [1, 0])];
        assert_eq!(minutes.kept(), expected);
        assert_eq!((minutes.total(0), minutes.total(1), minutes.total(9)), (5, 2, 0));
        minutes.take_back(0);
        assert_eq!(
            (minutes.total(0), minutes.kept().len()),
            (4, 2),
            "a minute of none is none"
        );
        minutes.take_back(0);
        assert_eq!(minutes.total(0), 4, "never below none");
    }

    #[test]
    fn the_busiest_minutes_stay() {
        let mut minutes = Minutes::<1>::default();
        for minute in 0..2 * KEPT {
            minutes.add(0, if minute % 2 == 0 { 2 } else { 1 }, minute as i64 * MINUTE);
        }
        assert_eq!(minutes.kept().len(), KEPT);
        let peaks = minutes.kept().iter().filter(|minute| minute.counts == [2]).count();
        assert!(peaks >= KEPT - 1, "the last minute is always there");
    }
}
