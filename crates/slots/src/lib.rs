//! A vector with holes: stable small indices for things that come and go.

/// Index of an entry in a [`Slab`].
pub type Index = u32;

/// Entries at indices that stay; a removed one's is used again.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<Index>,
}

impl<T> Slab<T> {
    /// Gives where it is.
    pub fn insert(&mut self, entry: T) -> Index {
        if let Some(index) = self.free.pop() {
            self.entries[index as usize] = Some(entry);
            return index;
        }
        self.entries.push(Some(entry));
        (self.entries.len() - 1) as Index
    }

    /// Gives the entry, and `None` where there is none.
    pub fn remove(&mut self, index: Index) -> Option<T> {
        let entry = self.entries.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(entry)
    }

    /// `None` where there is none.
    #[inline]
    pub fn get(&self, index: Index) -> Option<&T> {
        self.entries.get(index as usize)?.as_ref()
    }

    /// `None` where there is none.
    #[inline]
    pub fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    /// All entries, by index.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    /// All entries, by index.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }

    /// Of all entries.
    pub fn indices(&self) -> impl Iterator<Item = Index> + use<T> {
        let taken: Vec<Index> = (0..).zip(&self.entries).filter_map(|(at, entry)| entry.as_ref().map(|_| at)).collect();
        taken.into_iter()
    }

    /// Bytes on the heap, without what entries hold there themselves.
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Option<T>>() + self.free.capacity() * size_of::<Index>()
    }

    /// How many entries there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}
