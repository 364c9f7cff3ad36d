//! A pause of all work of the process, for systems that end an app which works where it may not.

use std::time::{Duration, Instant};

use super::inbox::Suspended;
use super::worker;
use crate::error::{Code, Error, Result};

/// Returns when MLX does no work and will begin none before [`resume`]: answers in the making stay as they are between two
/// tokens, loads between two tensors, and submits answer `SUSPENDED`. A second call only waits for the same.
///
/// `TIMEOUT` where a unit of work still runs when `within` is over (its detail `running` says how many); the pause holds
/// then, too, from when that has ended. `CANCELLED` where somebody resumed meanwhile.
pub fn suspend(within: Duration) -> Result<()> {
    match worker::suspend(Instant::now().checked_add(within)) {
        Suspended::Now => Ok(()),
        Suspended::After(units) => Err(Error::new(
            Code::Timeout,
            format!("{units} unit of work still runs; the library is suspended as soon as it has ended"),
        )
        .with("running", units)),
        Suspended::Resumed => Err(Error::new(Code::Cancelled, "rmlx_resume came before the work had ended")),
    }
}

/// Goes on after any number of [`suspend`]s, with the tokens that would have come without them.
pub fn resume() {
    worker::resume();
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::{env, thread};

    use super::*;
    use crate::engine::{EventKind, GenerationOptions, LoadOptions, Model, Session, SessionOptions};
    use crate::nn::mlx::evaluations;
    use crate::prompt::{Message, Prompt};

    const TOKENS: usize = 100;

    fn load() -> Model {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unified-bf16-mlx");
        Model::load(&folder, LoadOptions::default()).unwrap()
    }

    /// The tokens of an answer to a question of this number.
    fn answer(model: &Model, number: usize) -> Vec<u32> {
        let session = Session::new(model, &SessionOptions::default()).unwrap();
        let question = Message::text("user", format!("Question number {number}, if you please"));
        let prompt = Prompt { messages: vec![question], ..Prompt::default() };
        let options = GenerationOptions {
            max_tokens: Some(TOKENS),
            temperature: Some(0.0),
            ignore_eos: true,
            ..GenerationOptions::default()
        };
        session.submit(&prompt, &options).unwrap();
        let mut tokens = Vec::new();
        loop {
            let event = session.step().unwrap();
            tokens.extend(event.token);
            if event.kind == EventKind::Finish {
                assert_eq!(event.error, None);
                return tokens;
            }
        }
    }

    /// Four sessions answer and a thread loads, while the process is paused again and again.
    fn pause_and_count() {
        let model = load();
        let expected: Vec<Vec<u32>> = (0..4).map(|number| answer(&model, number)).collect();
        let (over, loads) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let asks = |number| {
                let model = &model;
                scope.spawn(move || answer(model, number))
            };
            let answers: Vec<_> = (0..4).map(asks).collect();
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(load());
                    loads.fetch_add(1, Ordering::Relaxed);
                }
            });
            // All have been submitted.
            thread::sleep(Duration::from_millis(50));
            let mut worked = 0;
            for round in 0..8 {
                let before = evaluations();
                thread::sleep(Duration::from_millis(3 + 4 * round));
                suspend(Duration::from_secs(60)).unwrap();
                let paused = evaluations();
                thread::sleep(Duration::from_millis(60));
                assert_eq!(evaluations(), paused, "MLX was set to work in a pause");
                worked += paused - before;
                resume();
            }
            assert!(worked > 0, "there was nothing to pause");
            let answers: Vec<Vec<u32>> = answers.into_iter().map(|thread| thread.join().unwrap()).collect();
            over.store(true, Ordering::Relaxed);
            assert_eq!(answers, expected);
        });
        assert!(loads.into_inner() > 0);
    }

    #[test]
    fn after_suspend_mlx_does_nothing_until_resume() {
        // It pauses the whole process, so it has one of its own.
        const ALONE: &str = "RMLX_TEST_ALONE";
        if env::var_os(ALONE).is_some() {
            return pause_and_count();
        }
        let name = "engine::suspend::tests::after_suspend_mlx_does_nothing_until_resume";
        let mut alone = Command::new(env::current_exe().unwrap());
        let output = alone.args([name, "--exact"]).env(ALONE, "1").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    }
}
