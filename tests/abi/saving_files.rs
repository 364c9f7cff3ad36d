//! Sessions in files: what may be wrong with a path, a disk, a model or a moment.

use std::fs;
use std::path::Path;

use rmlx::ffi::load_options::rmlx_load_options_set_chat_template;
use rmlx::ffi::session_options::rmlx_session_options_set_context_length;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::fixtures;
use crate::fresh::same_as_fresh;
use crate::harness::{Failure, LoadOptions, Model, Prompt};

fn hello() -> Prompt {
    Prompt::user("Hello, who is there?")
}

fn next() -> Prompt {
    hello().message("assistant").text("A model.").message("user").text("Which one?")
}

fn answered(model: &Model) -> Session {
    let session = Session::new(model);
    session.answer(&hello(), &Options::endless(5));
    session
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.into_string().expect("UTF-8")).collect()
}

#[track_caller]
fn refused(loaded: Result<Session, Failure>, code: rmlx_status, fault: Option<&str>) -> Failure {
    let failure = loaded.map(drop).expect_err("it is not to be loaded");
    assert_eq!((failure.code, failure.details["fault"].as_str()), (code, fault), "{failure:?}");
    failure
}

#[test]
fn a_file_holds_what_a_buffer_holds_and_is_replaced_whole() {
    let model = fixtures::model();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s\u{e9}ance.rmlx");
    let session = answered(model);
    session.save(&path).expect("a file");
    assert!(fs::read(&path).expect("bytes") == session.saved().expect("bytes"));
    assert!(same_as_fresh(model, &Session::load(model, &path).expect("a session"), &next()) > 0);
    session.answer(&next(), &Options::endless(3));
    session.save(&path).expect("another file");
    assert!(fs::read(&path).expect("bytes") == session.saved().expect("bytes"));
    assert_eq!(names(folder.path()), ["s\u{e9}ance.rmlx"], "nothing else is left");
}

#[test]
fn paths_that_will_not_do_are_named() {
    let model = fixtures::model();
    let folder = tempfile::tempdir().expect("a folder");
    let session = answered(model);
    let none = folder.path().join("none/at/all");
    let failure = session.save(&none).expect_err("no such folder");
    assert_eq!(failure.code, RMLX_ERROR_NOT_FOUND);
    assert!(failure.message.contains("none/at/all") && failure.details["path"].is_string(), "{failure:?}");
    assert_eq!(session.save(folder.path()).expect_err("a folder").code, RMLX_ERROR_IO);
    assert_eq!(session.save(Path::new("")).expect_err("no path").code, RMLX_ERROR_INVALID_ARGUMENT);
    refused(Session::load(model, &none), RMLX_ERROR_NOT_FOUND, None);
    refused(Session::load(model, folder.path()), RMLX_ERROR_IO, None);
    refused(Session::load(model, Path::new("/dev/zero")), RMLX_ERROR_IO, None);
    let other = fixtures::path("unified-bf16-mlx/model.safetensors");
    let failure = refused(Session::load(model, &other), RMLX_ERROR_INVALID_SAVE, Some("format"));
    assert!(failure.message.contains("model.safetensors"), "{failure:?}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_is_of_another_model_or_template_says_so() {
    let model = fixtures::model();
    let bytes = answered(model).saved().expect("bytes");
    for folder in ["unified-mxfp4", "e2b-bf16-hf", "gemma3-bf16-mlx"] {
        let other = Model::load(fixtures::path(folder)).expect("a model");
        refused(Session::load_bytes(&other, &bytes), RMLX_ERROR_INVALID_SAVE, Some("snapshot"));
    }
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let (utf8, len) = (template.as_ptr().cast(), template.len());
    // SAFETY: the text is as long as its length says.
    let options =
        LoadOptions::new().set(|o, e| unsafe { rmlx_load_options_set_chat_template(o, utf8, len, e) });
    let other = Model::load_with(fixtures::path("unified-bf16-mlx"), &options).expect("a model");
    refused(Session::load_bytes(&other, &bytes), RMLX_ERROR_INVALID_SAVE, Some("template"));
    // The same snapshot, loaded anew.
    let same = Model::load(fixtures::path("unified-bf16-mlx")).expect("a model");
    assert!(same_as_fresh(&same, &Session::load_bytes(&same, &bytes).expect("a session"), &next()) > 0);
}

#[test]
fn a_context_that_is_too_short_says_so() {
    let model = fixtures::model();
    let session = answered(model);
    let (bytes, held) = (session.saved().expect("bytes"), session.stats().held_tokens as usize);
    let of = |positions: usize| {
        Session::load_bytes_with(model, &bytes, |o| {
            rmlx_session_options_set_context_length(o, positions, None)
        })
    };
    let failure = refused(of(held - 1), RMLX_ERROR_CONTEXT_FULL, None);
    assert_eq!(failure.details["positions"], held);
    of(held).expect("just enough");
}

#[test]
fn an_answer_in_the_making_is_not_saved() {
    let model = fixtures::model();
    let folder = tempfile::tempdir().expect("a folder");
    let session = answered(model);
    session.submit(&next(), &Options::endless(30)).expect("an accepted prompt");
    session.step().expect("an event");
    assert_eq!(session.saved().expect_err("it answers").code, RMLX_ERROR_BUSY);
    assert_eq!(session.save(&folder.path().join("a")).expect_err("it answers").code, RMLX_ERROR_BUSY);
    session.cancel();
    session.rest();
    let loaded = Session::load_bytes(model, &session.saved().expect("bytes")).expect("a session");
    assert_eq!(loaded.stats().held_tokens, session.stats().held_tokens);
    same_as_fresh(model, &loaded, &next());
    assert!(names(folder.path()).is_empty());
}

/// Sessions are saved and loaded on several threads while others answer.
#[test]
fn saves_and_loads_go_on_beside_answers() {
    let model = fixtures::model();
    let bytes = answered(model).saved().expect("bytes");
    let answers = || drop(answered(model));
    crate::around::beside(answers, || {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let loaded = Session::load_bytes(model, &bytes).expect("a session");
                        assert!(loaded.saved().expect("bytes") == bytes);
                    }
                });
            }
        });
    });
}

#[cfg(target_os = "linux")]
mod limited {
    use super::*;
    use crate::around;

    /// A disk that is full after so many bytes of a file.
    fn limit_files(bytes: u64) {
        // SAFETY: the structure is there to be read, and the signal's action is one that the system knows.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        around::alone("saving_files::limited::a_full_disk_leaves_the_old_file", || {
            let model = fixtures::model();
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a");
            let session = answered(model);
            session.save(&path).expect("a file");
            let before = fs::read(&path).expect("bytes");
            session.answer(&next(), &Options::endless(20));
            for bytes in [0, 1, 100, before.len() as u64] {
                limit_files(bytes);
                let failure = session.save(&path).expect_err("the disk is full");
                limit_files(libc::RLIM_INFINITY);
                assert_eq!((failure.code, &failure.details["errno"]), (RMLX_ERROR_IO, &libc::EFBIG.into()));
                assert!(fs::read(&path).expect("bytes") == before && names(folder.path()) == ["a"]);
            }
            session.save(&path).expect("a file");
            assert!(same_as_fresh(model, &Session::load(model, &path).expect("a session"), &next()) > 0);
        });
    }

    fn limit_address_space(bytes: Option<u64>) {
        let pages = fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: u64 = pages.split(' ').next().and_then(|n| n.parse().ok()).expect("pages");
        // SAFETY: asks for a number, and the structure is there to be read.
        unsafe {
            let used = pages * libc::sysconf(libc::_SC_PAGESIZE) as u64;
            let limit = bytes.map_or(libc::RLIM_INFINITY, |bytes| used + bytes);
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
        }
    }

    #[test]
    fn a_session_that_does_not_fit_into_the_address_space_is_an_error() {
        const TEST: &str =
            "saving_files::limited::a_session_that_does_not_fit_into_the_address_space_is_an_error";
        around::alone(TEST, || {
            let model = fixtures::model();
            let ids: Vec<u32> = (0..3500).map(|i| 300 + i % 200).collect();
            let session = Session::new(model);
            session.answer(&Prompt::new().tokens(&ids), &Options::endless(2));
            let bytes = session.saved().expect("bytes");
            drop(session);
            let mut through = 0;
            for mib in [2, 4, 8, 16, 24, 40, 80, 160, 1000] {
                limit_address_space(Some(mib << 20));
                let loaded = Session::load_bytes(model, &bytes);
                limit_address_space(None);
                match loaded {
                    Ok(loaded) => {
                        through += 1;
                        assert!(loaded.saved().expect("bytes") == bytes);
                    }
                    Err(failure) => assert_eq!(failure.code, RMLX_ERROR_OUT_OF_MEMORY, "{failure:?}"),
                }
            }
            assert!((1..9).contains(&through), "{through}");
        });
    }
}
