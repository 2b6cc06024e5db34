//! What programs print and log, kept in a file that has no name and is gone with the last of them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use uuid::Uuid;

/// How much is read of it at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// One log, of one program or of several.
pub struct Log(File);

impl Log {
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("e2e-{}", Uuid::new_v4()));
        let mut options = File::options();
        options.read(true).append(true).create_new(true);
        let file = options.open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Self(file)
    }

    /// Where a program writes to it.
    pub fn sink(&self) -> Stdio {
        self.0.try_clone().unwrap().into()
    }

    /// All that is in it so far.
    pub fn text(&self) -> String {
        let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        loop {
            let at = u64::try_from(bytes.len()).unwrap();
            match self.0.read_at(&mut chunk, at).unwrap() {
                0 => return String::from_utf8_lossy(&bytes).into_owned(),
                count => bytes.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}
