//! Whether a back end computes what it should, found out at its first use.
//!
//! A kernel that was compiled wrongly, or cannot be compiled, answers nonsense or fails in the middle of a session. So a
//! load first puts small questions to the device that it will use: products with a dense matrix and with each storage
//! that the snapshot has, and attention, for numbers of rows that MLX has different kernels for. The answers are compared
//! with plain Rust. Answers are kept, right or wrong: each question is put once in the life of the process.

mod cases;
mod on_mlx;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::cases::Sizes;
pub use self::cases::{Attention, Product};
pub use self::on_mlx::Mlx;
use super::Device;
use crate::error::{Code, Error, Result};
use crate::snapshot::quantization::{Mode, Quantization};

/// What a back end is asked to compute; tests answer wrongly on purpose.
pub trait Operations {
    /// `[rows, output]` of `product.x(rows) · Wᵀ`.
    fn product(&self, product: &Product, rows: usize) -> Result<Vec<f32>>;
    /// `[heads, queries, head_dim]`.
    fn attention(&self, attention: &Attention) -> Result<Vec<f32>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Dense,
    Packed(Quantization),
    Attention,
}

impl Subject {
    /// What is asked where matrices have these storages.
    fn all(storages: &[Quantization]) -> impl Iterator<Item = Subject> {
        [Subject::Dense, Subject::Attention].into_iter().chain(storages.iter().copied().map(Subject::Packed))
    }

    fn operation(self) -> &'static str {
        match self {
            Subject::Dense | Subject::Packed(_) => "product",
            Subject::Attention => "attention",
        }
    }

    fn storage(self) -> Option<String> {
        match self {
            Subject::Dense => Some("dense".into()),
            Subject::Packed(quantization) => Some(quantization.to_string()),
            Subject::Attention => None,
        }
    }

    fn told(self) -> String {
        match self {
            Subject::Dense => "a product with a dense matrix".into(),
            Subject::Packed(quantization) => format!("a product with a matrix of {quantization}"),
            Subject::Attention => "attention".into(),
        }
    }
}

/// What went wrong, and for how many rows.
#[derive(Clone, Debug)]
struct Failure {
    rows: usize,
    /// In units of the root mean square; nothing where there was no answer.
    distance: Option<f32>,
    message: String,
}

struct Outcome {
    device: Device,
    subject: Subject,
    /// The largest distance of all numbers of rows that were asked.
    worst: f32,
    failure: Option<Failure>,
    took: Duration,
}

/// What is known of the devices of this process.
#[derive(Default)]
pub struct SelfTest {
    outcomes: Vec<Outcome>,
}

impl SelfTest {
    /// `BACKEND`, with what was wrong, unless the device computes dense products, products of these storages and
    /// attention as it should. The current stream must be the device's.
    pub fn require(
        &mut self,
        device: Device,
        storages: &[Quantization],
        operations: &dyn Operations,
    ) -> Result<()> {
        for subject in Subject::all(storages) {
            if let Some(failure) = &self.outcome(device, subject, operations).failure {
                return Err(error(device, subject, failure));
            }
        }
        Ok(())
    }

    /// What is known of the device as JSON, after asking for each mode that MLX has.
    pub fn report(&mut self, device: Device, operations: &dyn Operations) -> Value {
        for subject in Subject::all(&all_modes()) {
            self.outcome(device, subject, operations);
        }
        let outcomes: Vec<&Outcome> = self.outcomes.iter().filter(|o| o.device == device).collect();
        let took: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
        json!({
            "device": device.name(),
            "correct": outcomes.iter().all(|outcome| outcome.failure.is_none()),
            "rows": Sizes::of(device).rows,
            "tolerance": Sizes::of(device).tolerance,
            "milliseconds": took.as_secs_f64() * 1e3,
            "checks": outcomes.iter().map(|outcome| outcome.json()).collect::<Vec<_>>(),
        })
    }

    fn outcome(&mut self, device: Device, subject: Subject, operations: &dyn Operations) -> &Outcome {
        let known = self.outcomes.iter().position(|o| (o.device, o.subject) == (device, subject));
        let index = match known {
            Some(index) if self.outcomes[index].is_final() => index,
            Some(index) => {
                self.outcomes[index] = Outcome::find(device, subject, operations);
                index
            }
            None => {
                self.outcomes.push(Outcome::find(device, subject, operations));
                self.outcomes.len() - 1
            }
        };
        &self.outcomes[index]
    }
}

impl Outcome {
    fn find(device: Device, subject: Subject, operations: &dyn Operations) -> Outcome {
        let (began, sizes) = (Instant::now(), Sizes::of(device));
        let product = match subject {
            Subject::Dense => Some(Product::dense(&sizes)),
            Subject::Packed(quantization) => Some(Product::packed(quantization, &sizes)),
            Subject::Attention => None,
        };
        let (mut worst, mut failure) = (0.0f32, None);
        for &rows in sizes.rows {
            let distance = match &product {
                Some(product) => {
                    operations.product(product, rows).map(|found| product.distance(rows, &found))
                }
                None => {
                    let attention = Attention::new(rows, &sizes);
                    operations.attention(&attention).map(|found| attention.distance(&found))
                }
            };
            failure = match distance {
                Ok(distance) => {
                    worst = worst.max(distance);
                    let is_right = distance <= sizes.tolerance;
                    (!is_right).then(|| Failure {
                        rows,
                        distance: Some(distance),
                        message: format!(
                            "is off by {distance:.3} of its root mean square, where at most {} is right",
                            sizes.tolerance
                        ),
                    })
                }
                Err(error) => Some(Failure {
                    rows,
                    distance: None,
                    message: format!("cannot be computed: {}{}", error.message(), remedy(error.message())),
                }),
            };
            if failure.is_some() {
                break;
            }
        }
        Outcome { device, subject, worst, failure, took: began.elapsed() }
    }

    /// No answer at all may have had a cause that goes away, such as memory that was short.
    fn is_final(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| failure.distance.is_some())
    }

    fn json(&self) -> Value {
        let failure = self.failure.as_ref();
        json!({
            "operation": self.subject.operation(),
            "storage": self.subject.storage(),
            "worst": self.worst.is_finite().then_some(self.worst),
            "failure": failure.map(|f| format!("for {} rows: {}", f.rows, f.message)),
        })
    }
}

/// One of each mode and width that MLX has.
pub fn all_modes() -> Vec<Quantization> {
    let affine = [2, 3, 4, 5, 6, 8].map(|bits| (Mode::Affine, bits, 64));
    let floats = [(Mode::Mxfp4, 4, 32), (Mode::Nvfp4, 4, 16), (Mode::Mxfp8, 8, 32)];
    let all = affine.into_iter().chain(floats);
    all.map(|(mode, bits, group_size)| Quantization { mode, bits, group_size }).collect()
}

fn error(device: Device, subject: Subject, failure: &Failure) -> Error {
    let mut message = format!(
        "MLX does not compute as it should on the {}: {} of {} rows {}",
        device.name().to_uppercase(),
        subject.told(),
        failure.rows,
        failure.message
    );
    if cfg!(target_vendor = "apple") && device == Device::Gpu && failure.distance.is_some() {
        message += "; where the chip has neural accelerators, a process that starts with \
                    MLX_METAL_GPU_ARCH=applegpu_g16s in its environment does without them";
    }
    let storage = subject.storage().map_or(Value::Null, Value::from);
    // JSON has no infinity.
    let distance = failure.distance.filter(|distance| distance.is_finite());
    Error::new(Code::Backend, message)
        .with("device", device.name())
        .with("operation", subject.operation())
        .with("storage", storage)
        .with("rows", failure.rows)
        .with("distance", distance.map_or(Value::Null, Value::from))
}

/// What to do about a failure whose cause is known.
fn remedy(message: &str) -> &'static str {
    let lacks_header =
        message.contains("cannot open source file") || message.contains("could not open source");
    if lacks_header {
        "; MLX compiles its CUDA kernels when they are first used, and headers of CUDA are missing: install them \
         beside MLX (PyPI's nvidia-cuda-crt has crt/mma.h, nvidia-cuda-cccl and nvidia-cuda-runtime the others)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MXFP4: Quantization = Quantization { mode: Mode::Mxfp4, bits: 4, group_size: 32 };

    /// MLX's CPU, but for one kind of question, and how often it was asked.
    struct Faulty {
        fault: fn(&mut Vec<f32>, usize),
        packed: bool,
        asked: Cell<usize>,
    }

    impl Operations for Faulty {
        fn product(&self, product: &Product, rows: usize) -> Result<Vec<f32>> {
            self.asked.set(self.asked.get() + 1);
            let mut found = Mlx(Device::Cpu).product(product, rows)?;
            if self.packed == matches!(product.stored, cases::Stored::Packed { .. }) {
                (self.fault)(&mut found, rows);
            }
            Ok(found)
        }

        fn attention(&self, attention: &Attention) -> Result<Vec<f32>> {
            self.asked.set(self.asked.get() + 1);
            Mlx(Device::Cpu).attention(attention)
        }
    }

    fn faulty(packed: bool, fault: fn(&mut Vec<f32>, usize)) -> Faulty {
        Faulty { fault, packed, asked: Cell::new(0) }
    }

    #[test]
    fn the_cpu_computes_as_it_should() {
        let report = SelfTest::default().report(Device::Cpu, &Mlx(Device::Cpu));
        assert_eq!(report["correct"], true, "{report:#}");
        assert_eq!(report["checks"].as_array().unwrap().len(), 11);
    }

    #[test]
    #[ignore = "needs a GPU: `cargo xtask gpu-check` runs it"]
    fn on_cuda_the_gpu_computes_as_it_should() {
        assert_eq!(crate::nn::default_device(), Device::Gpu);
        let report = SelfTest::default().report(Device::Gpu, &Mlx(Device::Gpu));
        println!("{report:#}");
        assert_eq!(report["correct"], true, "{report:#}");
    }

    /// What a miscompiled kernel for more than 8 rows does.
    #[test]
    fn products_of_more_than_eight_rows_that_are_wrong_are_caught() {
        let shifted = faulty(true, |found, rows| {
            if rows > 8 {
                found.rotate_left(1);
            }
        });
        let error = SelfTest::default().require(Device::Cpu, &[MXFP4], &shifted).unwrap_err();
        assert_eq!(error.code(), Code::Backend);
        let message = error.message();
        assert!(
            message.contains("matrix of mxfp4 of 4 bits in groups of 32 of 9 rows is off by"),
            "{message}"
        );
        assert_eq!(error.details()["rows"], 9);
        assert_eq!(error.details()["operation"], "product");
    }

    /// Some columns of one row, as MLX's products of four-bit floats were on a GPU.
    #[test]
    fn one_wrong_value_or_none_at_all_is_caught() {
        let faults: [fn(&mut Vec<f32>, usize); 2] =
            [|found, rows| found[16 * (rows - 1) + 3] += 9.0, |found, _| found[0] = f32::NAN];
        for fault in faults {
            let error = SelfTest::default().require(Device::Cpu, &[], &faulty(false, fault)).unwrap_err();
            assert!(error.message().contains("dense matrix"), "{error}");
        }
    }

    #[test]
    fn what_a_snapshot_does_not_use_does_not_stop_it() {
        let wrong = faulty(true, |found, _| found.fill(0.0));
        let mut test = SelfTest::default();
        test.require(Device::Cpu, &[], &wrong).unwrap();
        assert!(test.require(Device::Cpu, &[MXFP4], &wrong).is_err());
        let report = test.report(Device::Cpu, &wrong);
        assert_eq!(report["correct"], false);
    }

    #[test]
    fn each_question_is_put_once() {
        let mut test = SelfTest::default();
        let right = faulty(true, |_, _| {});
        test.require(Device::Cpu, &[MXFP4], &right).unwrap();
        let asked = right.asked.get();
        assert!(asked > 0);
        test.require(Device::Cpu, &[MXFP4], &right).unwrap();
        assert_eq!(right.asked.get(), asked);
        let wrong = faulty(true, |found, _| found.fill(0.0));
        let mut test = SelfTest::default();
        let first = test.require(Device::Cpu, &[MXFP4], &wrong).unwrap_err();
        let asked = wrong.asked.get();
        assert_eq!(test.require(Device::Cpu, &[MXFP4], &wrong).unwrap_err(), first);
        assert_eq!(wrong.asked.get(), asked);
    }

    struct Uncompilable;

    impl Operations for Uncompilable {
        fn product(&self, _: &Product, _: usize) -> Result<Vec<f32>> {
            let told = "Failed to compile kernel: mma.h: cannot open source file \"crt/mma.h\"";
            Err(Error::new(Code::Backend, told))
        }

        fn attention(&self, _: &Attention) -> Result<Vec<f32>> {
            Ok(vec![])
        }
    }

    #[test]
    fn a_kernel_that_cannot_be_compiled_says_what_to_install() {
        let error = SelfTest::default().require(Device::Cpu, &[], &Uncompilable).unwrap_err();
        assert_eq!(error.code(), Code::Backend);
        assert!(error.message().contains("nvidia-cuda-crt"), "{error}");
    }

    #[test]
    fn what_gave_no_answer_is_asked_again() {
        let mut test = SelfTest::default();
        assert!(test.require(Device::Cpu, &[], &Uncompilable).is_err());
        test.require(Device::Cpu, &[], &Mlx(Device::Cpu)).unwrap();
    }
}
