//! The one bounds-checked reader. Every parser walks its bytes with it, so that a short or lying length ends in
//! `Short`, never in a panic. Big-endian unless the name says otherwise; copying the cursor is a bookmark.

/// The bytes ended before what was asked for; `offset` is where, `needed` how many octets were missing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    pub offset: usize,
    pub needed: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Octets read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Octets not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without moving.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let rest = self.rest();
        match rest.get(..count) {
            Some(part) => {
                self.at += count;
                Ok(part)
            }
            None => Err(Short {
                offset: self.at,
                needed: count - rest.len(),
            }),
        }
    }

    pub fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.take(count).map(|_| ())
    }

    /// A cursor over the next `count` octets, which this one steps over.
    pub fn sub(&mut self, count: usize) -> Result<Cursor<'a>, Short> {
        self.take(count).map(Cursor::new)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let part = self.take(N)?;
        let mut out = [0; N];
        out.copy_from_slice(part);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u24(&mut self) -> Result<u32, Short> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn u16_le(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32_le(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_the_bytes_ended() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.u16(), Ok(0x0102));
        assert_eq!(cursor.u32(), Err(Short { offset: 2, needed: 3 }));
        assert_eq!(cursor.position(), 2, "a failed read moves nothing");
        assert_eq!(cursor.u8(), Ok(3));
        assert!(cursor.is_empty());
    }

    #[test]
    fn reads_each_width_in_order() {
        let bytes: Vec<u8> = (1..=18).collect();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.u24(), Ok(0x01_0203));
        assert_eq!(cursor.u32(), Ok(0x0405_0607));
        assert_eq!(cursor.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(cursor.u16_le(), Ok(0x1110));
        assert_eq!(cursor.sub(2).err(), Some(Short { offset: 17, needed: 1 }));
    }
}
