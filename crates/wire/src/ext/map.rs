//! The negotiated ids of one transport.

use super::Uri;

/// Header extension id <-> URI, one table for a whole bundle. Lookups are array reads both ways.
#[derive(Clone)]
pub struct ExtensionMap {
    by_id: [Option<Uri>; 256],
    /// 0 = not negotiated; 0 is padding on the wire and never an id.
    by_uri: [u8; Uri::ALL.len()],
}

impl ExtensionMap {
    /// A map with nothing negotiated.
    pub const fn new() -> Self {
        Self { by_id: [None; 256], by_uri: [0; Uri::ALL.len()] }
    }

    /// Binds `id` (1-14 fit one-byte headers, up to 255 two-byte ones) to `uri`, replacing what either was bound to. Id 0 is
    /// ignored.
    pub fn set(&mut self, id: u8, uri: Uri) {
        if id == 0 {
            return;
        }
        if let Some(previous) = self.uri(id) {
            self.by_uri[previous as usize] = 0;
        }
        if let Some(previous) = self.id(uri) {
            self.by_id[usize::from(previous)] = None;
        }
        self.by_id[usize::from(id)] = Some(uri);
        self.by_uri[uri as usize] = id;
    }

    /// The id of `uri`, or `None` when it was not negotiated.
    #[inline]
    pub fn id(&self, uri: Uri) -> Option<u8> {
        Some(self.by_uri[uri as usize]).filter(|id| *id != 0)
    }

    /// What `id` stands for.
    #[inline]
    pub fn uri(&self, id: u8) -> Option<Uri> {
        self.by_id[usize::from(id)]
    }

    /// Every negotiated pair, by URI.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Uri)> + '_ {
        Uri::ALL.into_iter().filter_map(|uri| Some((self.id(uri)?, uri)))
    }
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(u8, Uri)> for ExtensionMap {
    fn from_iter<T: IntoIterator<Item = (u8, Uri)>>(pairs: T) -> Self {
        let mut map = Self::new();
        for (id, uri) in pairs {
            map.set(id, uri);
        }
        map
    }
}

impl std::fmt::Debug for ExtensionMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
