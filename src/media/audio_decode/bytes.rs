//! Numbers in a file of either byte order.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// Reads numbers at offsets; `None` beyond the end.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub bytes: &'a [u8],
    pub order: Order,
}

impl At<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut array = *self.bytes.get(offset..)?.first_chunk::<N>()?;
        if self.order == Order::Big {
            array.reverse();
        }
        Some(array)
    }

    pub(super) fn u16(&self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    pub(super) fn f64(&self, offset: usize) -> Option<f64> {
        self.u64(offset).map(f64::from_bits)
    }

    pub(super) fn tag(&self, offset: usize) -> Option<&[u8; 4]> {
        self.bytes.get(offset..)?.first_chunk()
    }
}
