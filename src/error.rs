//! The one error type of the crate: a code, a sentence for people, and named details for programs.

use std::fmt;

use serde_json::{Map, Value};

/// What kind of thing went wrong. The numbers are the C ABI's `rmlx_status` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// An argument is NULL, out of range, of an unknown enum value, or not valid UTF-8.
    InvalidArgument = 1,
    /// A file or folder that was named does not exist.
    NotFound = 2,
    /// The snapshot folder is incomplete, corrupt, contradicts itself, or may not be read.
    InvalidSnapshot = 3,
    /// Valid, but not something this build can do (an unknown architecture, a model that cannot hear).
    Unsupported = 4,
    /// Memory ran out, or the files or threads that the process may have; or a limit that the host set would be passed.
    OutOfMemory = 5,
    /// The prompt and its media need more positions than the context has.
    ContextFull = 6,
    /// The host cancelled the operation.
    Cancelled = 7,
    /// The library is suspended (`rmlx_suspend`).
    Suspended = 8,
    /// Another operation is running on this session.
    Busy = 9,
    /// MLX reported a failure.
    Backend = 10,
    /// An earlier panic went through this session; only reset and release are left.
    Poisoned = 11,
    /// A bug in rmlx was caught at the boundary.
    Panic = 12,
    /// Image or audio data cannot be decoded, or is not usable as such.
    InvalidMedia = 13,
    /// The conversation cannot be rendered: the template raised, looped, or lacks a place for a medium.
    InvalidPrompt = 14,
    /// A call that waits for a bounded time has waited for it.
    Timeout = 15,
    /// What was saved of a session is damaged, or is not of this model.
    InvalidSave = 16,
    /// A file cannot be read or written: no space, no permission, a fault of the disk.
    Io = 17,
}

impl Code {
    /// The code with this number.
    pub(crate) fn from_number(number: i32) -> Option<Code> {
        use Code::*;
        let all = [
            InvalidArgument,
            NotFound,
            InvalidSnapshot,
            Unsupported,
            OutOfMemory,
            ContextFull,
            Cancelled,
            Suspended,
            Busy,
            Backend,
            Poisoned,
            Panic,
            InvalidMedia,
            InvalidPrompt,
            Timeout,
            InvalidSave,
            Io,
        ];
        all.into_iter().find(|code| *code as i32 == number)
    }
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: Code,
    message: String,
    details: Map<String, Value>,
}

impl Error {
    /// An error whose message is a full sentence without a final full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Map::new() }
    }

    /// Adds a named detail (`"file"`, `"tensor"`, `"message_index"`, `"byte"`, …).
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Puts where it happened before the message: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What kind of thing went wrong.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details for programs, by name.
    pub fn details(&self) -> &Map<String, Value> {
        &self.details
    }

    /// The operation was cancelled.
    pub fn cancelled() -> Self {
        Self::new(Code::Cancelled, "cancelled by the host")
    }

    /// An argument that is wrong.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// A snapshot that is incomplete or contradicts itself.
    pub fn snapshot(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidSnapshot, message)
    }

    /// Something valid that this build does not do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::Unsupported, message)
    }

    /// A medium that cannot be decoded.
    pub fn media(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidMedia, message)
    }

    /// A conversation that cannot be rendered.
    pub fn prompt(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidPrompt, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<mlx_rs::error::Exception> for Error {
    #[track_caller]
    fn from(e: mlx_rs::error::Exception) -> Self {
        let code = if e.what().contains("alloc") { Code::OutOfMemory } else { Code::Backend };
        let at = std::panic::Location::caller();
        Self::new(code, e.what().to_owned()).with("at", format!("{}:{}", at.file(), at.line()))
    }
}

/// Whether the system or the process ran out of something (memory, files that may be open): no fault of the file.
pub fn is_exhausted(error: &std::io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.kind() == std::io::ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// The code for what the system says of a file that a host has named; `otherwise` where the file is at fault.
pub fn code_of_file(error: &std::io::Error, otherwise: Code) -> Code {
    match error.kind() {
        std::io::ErrorKind::NotFound => Code::NotFound,
        _ if is_exhausted(error) => Code::OutOfMemory,
        _ => otherwise,
    }
}
