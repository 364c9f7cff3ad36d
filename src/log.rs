//! Messages for the host's log. Nothing is ever printed: without a callback, messages are dropped.

use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something failed, or a bug was caught.
    Error = 1,
    /// Something works less well than it could.
    Warning = 2,
    /// What a user may want to know.
    Info = 3,
    /// What a developer may want to know.
    Debug = 4,
}

/// Receives messages, one at a time, on a thread of its own.
pub type LogFn = Box<dyn Fn(Level, &str) + Send>;

struct Sink {
    messages: Option<Sender<(Level, String)>>,
    thread: Option<JoinHandle<()>>,
    most: Level,
}

static SINK: Mutex<Option<Sink>> = Mutex::new(None);

fn sink() -> MutexGuard<'static, Option<Sink>> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends messages up to `most` to `callback`, or to nobody.
///
/// The callback before it has had its last message, and has been dropped, when this returns; so it must not be
/// called from inside a callback. Returns `false` if the thread cannot be started.
pub fn set_callback(callback: Option<LogFn>, most: Level) -> bool {
    let previous = sink().take();
    drop(previous);
    let Some(callback) = callback else { return true };
    let (messages, received) = mpsc::channel::<(Level, String)>();
    let thread = std::thread::Builder::new().name("rmlx-log".into()).spawn(move || {
        for (level, text) in received {
            callback(level, &text);
        }
    });
    let Ok(thread) = thread else { return false };
    *sink() = Some(Sink { messages: Some(messages), thread: Some(thread), most });
    true
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.messages.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic in the host's callback has already ended the thread; there is nobody to tell.
            let _ = thread.join();
        }
    }
}

pub(crate) fn write(level: Level, text: &str) {
    if let Some(sink) = sink().as_ref()
        && level <= sink.most
        && let Some(messages) = &sink.messages
    {
        let _ = messages.send((level, text.to_owned()));
    }
}

pub(crate) fn error(text: &str) {
    write(Level::Error, text);
}

pub(crate) fn warning(text: &str) {
    write(Level::Warning, text);
}

pub(crate) fn info(text: &str) {
    write(Level::Info, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn messages_up_to_the_level_arrive_in_order_on_another_thread() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let copy = seen.clone();
        let here = std::thread::current().id();
        assert!(set_callback(
            Some(Box::new(move |level, text| {
                assert_ne!(std::thread::current().id(), here);
                copy.lock().unwrap().push((level, text.to_owned()));
            })),
            Level::Warning,
        ));
        warning("first");
        info("not wanted");
        error("second");
        assert!(set_callback(None, Level::Debug));
        let seen = seen.lock().unwrap();
        let ours: Vec<_> =
            seen.iter().filter(|(_, t)| t == "first" || t == "second" || t == "not wanted").collect();
        assert_eq!(ours, [&(Level::Warning, "first".to_owned()), &(Level::Error, "second".to_owned())]);
    }
}
