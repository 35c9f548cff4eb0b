//! A vector with holes: stable small indices for things that come and go.

/// Index of an entry in a [`Slab`].
pub(crate) type Index = u32;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<Index>,
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, entry: T) -> Index {
        if let Some(index) = self.free.pop() {
            self.entries[index as usize] = Some(entry);
            return index;
        }
        self.entries.push(Some(entry));
        (self.entries.len() - 1) as Index
    }

    pub(crate) fn remove(&mut self, index: Index) -> Option<T> {
        let entry = self.entries.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(entry)
    }

    #[inline]
    pub(crate) fn get(&self, index: Index) -> Option<&T> {
        self.entries.get(index as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    /// Of all entries.
    pub(crate) fn indices(&self) -> impl Iterator<Item = Index> + use<T> {
        let taken: Vec<Index> = (0..).zip(&self.entries).filter_map(|(at, entry)| entry.as_ref().map(|_| at)).collect();
        taken.into_iter()
    }

    /// Bytes on the heap, without what entries hold there themselves.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Option<T>>() + self.free.capacity() * size_of::<Index>()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}
