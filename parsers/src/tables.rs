//! What the core may look things up in: address prefixes, names, port classes, listeners, instants. The numbers mean
//! nothing here; whoever built the tables chose them, and gets them back in observations.
//!
//! Strategy: everything is a hash map. Prefixes stand in one map per length, tried from the longest down: real topologies
//! have a handful of lengths, and single hosts, the most of them, are found first.

use std::fmt;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

/// Number of ports, and so the length of a port table.
pub const PORTS: usize = 65_536;

/// Longest DNS name in text form without the final dot (RFC 1035 2.3.4: 255 octets on the wire).
const LONGEST_NAME: usize = 253;

/// Number of a name that was seen and is in no entry; 0 is for no name at all.
pub const UNLISTED_NAME: u32 = 1;

/// Why a table was refused, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesError(String);

impl fmt::Display for TablesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TablesError {}

#[derive(Debug, Default)]
pub struct Tables {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    exact_names: HashMap<Box<[u8]>, u32>,
    parent_names: HashMap<Box<[u8]>, u32>,
    /// Empty, or the class of each port.
    ports: Vec<u16>,
    listeners: HashSet<(u32, u8, u16)>,
    instants: Vec<i64>,
    /// RTP packets of a source before it counts that its payload is in clear.
    pub media_packets: u32,
}

/// Prefixes of one address family: per length, longest first, the networks and their numbers.
#[derive(Debug)]
struct Prefixes<A> {
    lengths: Vec<(A, HashMap<A, u32>)>,
}

impl<A> Default for Prefixes<A> {
    fn default() -> Self {
        Prefixes { lengths: Vec::new() }
    }
}

impl<A: Copy + Ord + std::hash::Hash + std::ops::BitAnd<Output = A>> Prefixes<A> {
    /// False: the network is there already with another number.
    fn insert(&mut self, network: A, mask: A, number: u32) -> bool {
        // Masks of longer prefixes are larger numbers.
        let at = self.lengths.partition_point(|(other, _)| *other > mask);
        match self.lengths.get_mut(at) {
            Some((other, networks)) if *other == mask => *networks.entry(network).or_insert(number) == number,
            _ => {
                self.lengths.insert(at, (mask, HashMap::from([(network, number)])));
                true
            }
        }
    }

    fn find(&self, address: A) -> Option<u32> {
        self.lengths
            .iter()
            .find_map(|(mask, networks)| networks.get(&(address & *mask)).copied())
    }
}

impl Tables {
    /// Builds the tables, or says what is wrong with the first entry that is.
    ///
    /// `prefixes`: (CIDR or single address, endpoint ≥ 1). `names`: (name, also its sub-domains, number ≥ 2). `ports`:
    /// empty or 65,536 classes. `listeners`: (endpoint, IP protocol, port). `instants`: ascending ns since 1970, at
    /// most 255.
    pub fn new<P: AsRef<str>, N: AsRef<str>>(
        prefixes: &[(P, u32)],
        names: &[(N, bool, u32)],
        ports: &[u16],
        listeners: &[(u32, u8, u16)],
        instants: &[i64],
    ) -> Result<Tables, TablesError> {
        let mut tables = Tables::default();
        for (prefix, number) in prefixes {
            tables.add_prefix(prefix.as_ref(), *number)?;
        }
        for (name, sub_domains, number) in names {
            tables.add_name(name.as_ref(), *sub_domains, *number)?;
        }
        if !ports.is_empty() && ports.len() != PORTS {
            return Err(TablesError(format!(
                "a port table has {PORTS} classes or none, not {}",
                ports.len()
            )));
        }
        if !instants.is_sorted() {
            return Err(TablesError("instants must ascend".into()));
        }
        if instants.len() > usize::from(u8::MAX) {
            return Err(TablesError(format!(
                "at most {} instants, not {}",
                u8::MAX,
                instants.len()
            )));
        }
        tables.ports = ports.to_vec();
        tables.listeners = listeners.iter().copied().collect();
        tables.instants = instants.to_vec();
        Ok(tables)
    }

    fn add_prefix(&mut self, text: &str, number: u32) -> Result<(), TablesError> {
        let refuse = |why: &str| Err(TablesError(format!("prefix {text:?}: {why}")));
        if number == 0 {
            return refuse("endpoint numbers begin with 1");
        }
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return refuse("no IP address");
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length.map(str::parse::<u32>) {
            None => width,
            Some(Ok(length)) if length <= width => length,
            Some(_) => return refuse(&format!("the length is no number from 0 to {width}")),
        };
        let (clean, fresh) = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                (
                    address.to_bits() & !mask == 0,
                    self.v4.insert(address.to_bits() & mask, mask, number),
                )
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                (
                    address.to_bits() & !mask == 0,
                    self.v6.insert(address.to_bits() & mask, mask, number),
                )
            }
        };
        match (clean, fresh) {
            (false, _) => refuse("the address has bits beyond the length"),
            (_, false) => refuse("listed twice with different numbers"),
            _ => Ok(()),
        }
    }

    fn add_name(&mut self, text: &str, sub_domains: bool, number: u32) -> Result<(), TablesError> {
        let refuse = |why: &str| Err(TablesError(format!("name {text:?}: {why}")));
        if number <= UNLISTED_NAME {
            return refuse("name numbers begin with 2");
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.len() > LONGEST_NAME {
            return refuse("a name has 1 to 253 octets");
        }
        let key: Box<[u8]> = name.to_ascii_lowercase().into_bytes().into();
        if sub_domains && *self.parent_names.entry(key.clone()).or_insert(number) != number {
            return refuse("listed twice with different numbers");
        }
        // An entry of its own says more of a name than that of its sub-domains.
        if sub_domains {
            return Ok(());
        }
        if *self.exact_names.entry(key).or_insert(number) != number {
            return refuse("listed twice with different numbers");
        }
        Ok(())
    }

    /// Number of the longest prefix that holds the address, 0 if none does.
    pub fn endpoint(&self, address: &IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
        .unwrap_or(0)
    }

    /// Number of a name as it stood on the wire: its own entry, else that of the nearest parent whose sub-domains count,
    /// else 1. Case and one final dot make no difference.
    pub fn name(&self, name: &[u8]) -> u32 {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut lower = [0; LONGEST_NAME];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return UNLISTED_NAME;
        };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(number) = self.exact_names.get(&*lower) {
            return *number;
        }
        let mut rest: &[u8] = lower;
        loop {
            if let Some(number) = self.parent_names.get(rest) {
                return *number;
            }
            let Some(dot) = rest.iter().position(|octet| *octet == b'.') else {
                return UNLISTED_NAME;
            };
            rest = rest.get(dot.saturating_add(1)..).unwrap_or_default();
        }
    }

    /// Class of a port; its own number without a table.
    pub fn port(&self, port: u16) -> u16 {
        self.ports.get(usize::from(port)).copied().unwrap_or(port)
    }

    /// Whether the endpoint answers there.
    pub fn listens(&self, endpoint: u32, protocol: u8, port: u16) -> bool {
        self.listeners.contains(&(endpoint, protocol, port))
    }

    /// How many instants had passed at `time`; one that is reached has passed.
    pub fn era(&self, time: i64) -> u8 {
        u8::try_from(self.instants.partition_point(|instant| *instant <= time)).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes(list: &[(&str, u32)]) -> Result<Tables, TablesError> {
        Tables::new(list, &[] as &[(&str, bool, u32)], &[], &[], &[])
    }

    fn names(list: &[(&str, bool, u32)]) -> Result<Tables, TablesError> {
        Tables::new(&[] as &[(&str, u32)], list, &[], &[], &[])
    }

    fn endpoint(tables: &Tables, address: &str) -> u32 {
        tables.endpoint(&address.parse().unwrap())
    }

    #[test]
    fn the_longest_prefix_wins_in_any_order() {
        let tables = prefixes(&[
            ("10.0.0.0/8", 1),
            ("10.1.2.3/32", 2),
            ("10.1.0.0/16", 3),
            ("192.0.2.7", 4),
            ("2001:db8::/32", 5),
            ("2001:db8::1", 6),
            ("2001:db8:1::/48", 7),
        ])
        .unwrap();
        for (address, number) in [
            ("10.9.9.9", 1),
            ("10.1.2.3", 2),
            ("10.1.2.4", 3),
            ("192.0.2.7", 4),
            ("192.0.2.8", 0),
            ("2001:db8:2::9", 5),
            ("2001:db8::1", 6),
            ("2001:db8:1::1", 7),
            ("2001:db9::1", 0),
            ("::ffff:10.1.2.3", 0),
        ] {
            assert_eq!(endpoint(&tables, address), number, "{address}");
        }
    }

    #[test]
    fn a_default_route_holds_its_own_family_only() {
        let tables = prefixes(&[("0.0.0.0/0", 9)]).unwrap();
        assert_eq!((endpoint(&tables, "255.255.255.255"), endpoint(&tables, "::")), (9, 0));
        let tables = prefixes(&[("::/0", 9)]).unwrap();
        assert_eq!((endpoint(&tables, "0.0.0.0"), endpoint(&tables, "ffff::")), (0, 9));
    }

    #[test]
    fn bad_prefixes_are_refused_with_a_reason() {
        for (text, number, why) in [
            ("10.0.0.0/33", 1, "0 to 32"),
            ("::/129", 1, "0 to 128"),
            ("10.0.0/8", 1, "no IP address"),
            ("10.0.0.1/8", 1, "bits beyond"),
            ("2001:db8::1/64", 1, "bits beyond"),
            ("10.0.0.0/", 1, "no number"),
            ("10.0.0.0/-1", 1, "no number"),
            ("", 1, "no IP address"),
            ("10.0.0.0/8", 0, "begin with 1"),
        ] {
            let error = prefixes(&[(text, number)]).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(prefixes(&[("10.0.0.0/8", 1), ("10.0.0.0/8", 1)]).is_ok());
        assert!(prefixes(&[("10.0.0.0/8", 1), ("10.0.0.0/8", 2)])
            .unwrap_err()
            .to_string()
            .contains("twice"));
    }

    #[test]
    fn names_match_whole_labels() {
        let tables = names(&[
            ("contoso.com", false, 2),
            ("contoso.net", true, 3),
            ("eu.contoso.net", true, 4),
            ("Sip.Contoso.Net.", false, 5),
        ])
        .unwrap();
        for (name, number) in [
            ("contoso.com", 2),
            ("CONTOSO.com.", 2),
            ("sip.contoso.com", 1),
            ("contoso.net", 3),
            ("a.b.contoso.net", 3),
            ("x.eu.contoso.net", 4),
            ("eu.contoso.net", 4),
            ("sip.contoso.net", 5),
            ("x.sip.contoso.net", 3),
            ("evilcontoso.net", 1),
            ("net", 1),
            ("", 1),
            (".", 1),
            ("contoso.net..", 1),
            (".contoso.net", 3),
        ] {
            assert_eq!(tables.name(name.as_bytes()), number, "{name}");
        }
        assert_eq!(tables.name(b"\xff\x00.contoso.net"), 3, "any octets may stand before");
        let long = [&[b'a'; 242][..], b".contoso.net"].concat();
        assert_eq!(
            (tables.name(&long[1..]), tables.name(&long)),
            (3, 1),
            "253 octets, 254 octets"
        );
    }

    #[test]
    fn bad_names_are_refused_with_a_reason() {
        for (list, why) in [
            (&[("a", false, 1)][..], "begin with 2"),
            (&[("", true, 2)], "1 to 253"),
            (&[("a", false, 2), ("A.", false, 3)], "twice"),
            (&[("a", true, 2), ("a", true, 3)], "twice"),
        ] {
            let error = names(list).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        // A domain and its sub-domains may have different numbers: the name's own entry is nearer.
        let tables = names(&[("a.b", true, 2), ("a.b", false, 3)]).unwrap();
        assert_eq!((tables.name(b"a.b"), tables.name(b"x.a.b")), (3, 2));
    }

    #[test]
    fn ports_have_classes_or_stand_for_themselves() {
        assert_eq!(Tables::default().port(5061), 5061);
        let classes: Vec<u16> = (0..=u16::MAX)
            .map(|port| if port < 1024 { port } else { 1024 })
            .collect();
        let none: [(&str, u32); 0] = [];
        let tables = Tables::new(&none, &[] as &[(&str, bool, u32)], &classes, &[], &[]).unwrap();
        assert_eq!((tables.port(443), tables.port(65_535)), (443, 1024));
        let error = Tables::new(&none, &[] as &[(&str, bool, u32)], &classes[1..], &[], &[]).unwrap_err();
        assert!(error.to_string().contains("65536"));
    }

    #[test]
    fn listeners_and_eras() {
        let none: [(&str, u32); 0] = [];
        let build = |instants: &[i64]| {
            Tables::new(
                &none,
                &[] as &[(&str, bool, u32)],
                &[],
                &[(7, 6, 5061), (7, 17, 3478)],
                instants,
            )
        };
        let tables = build(&[-5, 100, 200]).unwrap();
        assert!(tables.listens(7, 6, 5061) && !tables.listens(7, 17, 5061) && !tables.listens(8, 6, 5061));
        let eras = [i64::MIN, -6, -5, 99, 100, 199, 200, i64::MAX].map(|time| tables.era(time));
        assert_eq!(eras, [0, 0, 1, 1, 2, 2, 3, 3]);
        assert!(build(&[2, 1]).unwrap_err().to_string().contains("ascend"));
        assert!(build(&[0; 256]).unwrap_err().to_string().contains("255"));
        assert_eq!(Tables::default().era(0), 0);
    }

    proptest! {
        /// Against a scan of all prefixes.
        #[test]
        fn finds_what_a_scan_finds(
            networks in proptest::collection::vec((any::<u32>(), 0..=32_u32), 0..40),
            addresses in proptest::collection::vec(any::<u32>(), 1..40),
        ) {
            let mut list: Vec<(u32, u32)> =
                networks.iter().map(|(bits, length)| (bits & u32::MAX.checked_shl(32 - length).unwrap_or(0), *length)).collect();
            list.sort();
            list.dedup();
            let texts: Vec<(String, u32)> = list
                .iter()
                .zip(1..)
                .map(|((bits, length), number)| (format!("{}/{length}", std::net::Ipv4Addr::from_bits(*bits)), number))
                .collect();
            let tables = Tables::new(&texts, &[] as &[(&str, bool, u32)], &[], &[], &[]).unwrap();
            // Also the networks' own addresses, or hardly any would match.
            for address in addresses.iter().chain(list.iter().map(|(bits, _)| bits)) {
                let expected = list
                    .iter()
                    .zip(1..)
                    .filter(|((bits, length), _)| u64::from(address ^ bits) < 1 << (32 - length))
                    .max_by_key(|((_, length), _)| *length)
                    .map_or(0, |(_, number)| number);
                prop_assert_eq!(tables.endpoint(&std::net::Ipv4Addr::from_bits(*address).into()), expected);
            }
        }

        #[test]
        fn any_name_gets_a_number(name in proptest::collection::vec(any::<u8>(), 0..600)) {
            let tables = names(&[("contoso.net", true, 3)]).unwrap();
            prop_assert!(tables.name(&name) >= UNLISTED_NAME);
        }
    }
}
