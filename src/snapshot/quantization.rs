//! How each module of a snapshot is quantized, from `config.json` and checked against the tensors.
//!
//! `quantization` holds a default and overrides by module path. Whether a module is quantized at all is decided by
//! its `.scales` tensor, and where the parameters of the configuration do not fit the tensors' shapes, those that do count.

use std::collections::HashMap;
use std::fmt;

use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

use super::Snapshot;
use super::names::canonical;
use crate::error::{Error, Result};

/// What the packed codes of a group mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Unsigned integers with a scale and a bias per group.
    Affine,
    /// E2M1 floats with an E8M0 scale per 32.
    Mxfp4,
    /// E2M1 floats with an E4M3 scale per 16.
    Nvfp4,
    /// E4M3 floats with an E8M0 scale per 32.
    Mxfp8,
}

impl Mode {
    fn from_name(name: &str) -> Option<Mode> {
        [Mode::Affine, Mode::Mxfp4, Mode::Nvfp4, Mode::Mxfp8].into_iter().find(|m| m.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Affine => "affine",
            Mode::Mxfp4 => "mxfp4",
            Mode::Nvfp4 => "nvfp4",
            Mode::Mxfp8 => "mxfp8",
        }
    }
}

/// The parameters of one quantized module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantization {
    pub mode: Mode,
    pub bits: i32,
    pub group_size: i32,
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bits in groups of {}", self.mode.name(), self.bits, self.group_size)
    }
}

impl Quantization {
    /// `u32` words that hold `n` codes.
    pub fn words(&self, n: usize) -> usize {
        n * self.bits as usize / 32
    }

    /// Codes that fit `words` words.
    pub fn codes(&self, words: usize) -> usize {
        words * 32 / self.bits as usize
    }

    /// What keeps the tensors of the module at `path` from being a matrix of `shape` in this storage.
    fn misfit(self, snapshot: &Snapshot, path: &str, shape: &[usize]) -> Option<Error> {
        let fit = || -> Result<()> {
            let (weight_name, scales_name) = (format!("{path}.weight"), format!("{path}.scales"));
            let weight = snapshot.tensor(&weight_name).ok_or_else(|| snapshot.missing(&weight_name))?;
            let packed = with_last(shape, |n| self.words(n));
            check(snapshot, &weight_name, weight.dtype == Dtype::U32 && weight.shape == packed, || {
                let right = format!("U32 {packed:?} for {self} of {shape:?}");
                (format!("{:?} {:?}", weight.dtype, weight.shape), right)
            })?;
            let groups = with_last(shape, |n| n / self.group_size as usize);
            let affine = self.mode == Mode::Affine;
            let names = if affine { vec![scales_name, format!("{path}.biases")] } else { vec![scales_name] };
            for name in names {
                let found = snapshot.tensor(&name).ok_or_else(|| snapshot.missing(&name))?;
                let right_type = if affine { found.is_float() } else { found.dtype == Dtype::U8 };
                check(snapshot, &name, right_type && found.shape == groups, || {
                    let kind = if affine { "a float" } else { "U8" };
                    let right = format!("{kind} {groups:?} for {self} of {shape:?}");
                    (format!("{:?} {:?}", found.dtype, found.shape), right)
                })?;
            }
            Ok(())
        };
        fit().err()
    }

    /// What MLX takes where the configuration is silent.
    fn default_of(mode: Mode) -> Quantization {
        let (bits, group_size) = match mode {
            Mode::Affine => (4, 64),
            Mode::Mxfp4 => (4, 32),
            Mode::Nvfp4 => (4, 16),
            Mode::Mxfp8 => (8, 32),
        };
        Quantization { mode, bits, group_size }
    }

    /// Reads `{group_size, bits, mode}`; `at` names the object in errors.
    fn from_json(object: &Map<String, Value>, at: &str) -> Result<Quantization> {
        let mode = match object.get("mode") {
            None | Some(Value::Null) => Mode::Affine,
            Some(value) => value.as_str().and_then(Mode::from_name).ok_or_else(|| {
                let message =
                    format!("config.json: {at}.mode is {value}: known are affine, mxfp4, nvfp4 and mxfp8");
                Error::unsupported(message).with("key", format!("{at}.mode"))
            })?,
        };
        let default = Quantization::default_of(mode);
        let number = |key: &str, default: i32| match object.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| {
                Error::snapshot(format!("config.json: {at}.{key} is {value}, but must be a whole number"))
                    .with("key", format!("{at}.{key}"))
            }),
        };
        let bits = number("bits", default.bits)?;
        let group_size = number("group_size", default.group_size)?;
        let quantization = Quantization { mode, bits, group_size };
        if !known().any(|q| q == quantization) {
            return Err(Error::unsupported(format!(
                "config.json: {at} asks for {quantization}, which MLX has not"
            ))
            .with("key", at));
        }
        Ok(quantization)
    }
}

/// All storages that MLX has. Two of them never fit the same tensors of a module whose width is known.
fn known() -> impl Iterator<Item = Quantization> {
    let affine = [4, 8, 6, 5, 3, 2].into_iter().flat_map(|bits| {
        [64, 32, 128].into_iter().map(move |group_size| Quantization { mode: Mode::Affine, bits, group_size })
    });
    affine.chain([Mode::Mxfp4, Mode::Nvfp4, Mode::Mxfp8].map(Quantization::default_of))
}

/// The `quantization` of `config.json`.
#[derive(Clone, Debug, Default)]
pub struct QuantizationPlan {
    /// Of every module with scales and without an override.
    default: Option<Quantization>,
    /// By canonical module path; `None` where the file says `false`.
    overrides: HashMap<String, Option<Quantization>>,
}

impl QuantizationPlan {
    /// Reads `quantization`, or the copy of it that MLX's converters keep in `quantization_config`.
    pub fn from_config(config: &Value) -> Result<QuantizationPlan> {
        let is_there = |key: &str| config.get(key).filter(|v| !v.is_null()).map(|v| (key.to_owned(), v));
        let Some((key, value)) = is_there("quantization").or_else(|| is_there("quantization_config")) else {
            return Ok(QuantizationPlan::default());
        };
        let object = value.as_object().ok_or_else(|| {
            Error::snapshot(format!("config.json: {key} is not an object")).with("key", key.clone())
        })?;
        if key == "quantization_config" && object.contains_key("quant_method") {
            // Of another program, or of what the weights once were.
            return Ok(QuantizationPlan::default());
        }
        let default = Quantization::from_json(object, &key)?;
        let mut overrides = HashMap::new();
        for (path, value) in object {
            let parameters = match value {
                Value::Object(own) => Some(Quantization::from_json(own, &format!("{key}.{path}"))?),
                Value::Bool(true) => Some(default),
                Value::Bool(false) => None,
                _ => continue,
            };
            overrides.insert(canonical_module(path), parameters);
        }
        Ok(QuantizationPlan { default: Some(default), overrides })
    }

    /// What the configuration says of a module with scales.
    fn parameters(&self, module: &str) -> Option<Quantization> {
        self.overrides.get(module).copied().unwrap_or(self.default)
    }

    pub fn default_quantization(&self) -> Option<Quantization> {
        self.default
    }

    /// The parameters of the module at canonical `path`, whose weight is `shape` = `[.., out, in]` when it is not
    /// packed; `None` for a module without scales. The tensors' shapes and types are checked against them.
    pub fn resolve(&self, snapshot: &Snapshot, path: &str, shape: &[usize]) -> Result<Option<Quantization>> {
        let weight_name = format!("{path}.weight");
        let weight = snapshot.tensor(&weight_name).ok_or_else(|| snapshot.missing(&weight_name))?;
        let scales_name = format!("{path}.scales");
        if snapshot.tensor(&scales_name).is_none() {
            check(snapshot, &weight_name, weight.is_float() && weight.shape == shape, || {
                (format!("{:?} {:?}", weight.dtype, weight.shape), format!("a float {shape:?}"))
            })?;
            return Ok(None);
        }
        let said = self.parameters(path);
        let mut candidates = said.into_iter().chain(known());
        if let Some(fitting) = candidates.find(|q| q.misfit(snapshot, path, shape).is_none()) {
            return Ok(Some(fitting));
        }
        let said = said.unwrap_or(Quantization::default_of(Mode::Affine));
        Err(said.misfit(snapshot, path, shape).unwrap_or_else(|| snapshot.missing(&scales_name)))
    }

    /// The parameters by which a tensor's codes are counted where no plan of a load has found them.
    pub(super) fn of_scales(&self, module: &str) -> Option<Quantization> {
        self.parameters(module)
    }
}

/// The canonical form of a module path of the configuration, which may lack or have any of the prefixes, and may be that
/// of the tensor.
fn canonical_module(path: &str) -> String {
    let name = canonical(&format!("{}.weight", path.strip_suffix(".weight").unwrap_or(path)));
    name.strip_suffix(".weight").unwrap_or(&name).to_owned()
}

fn with_last(shape: &[usize], f: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = f(*last);
    }
    shape
}

/// `words` gives what was found and what would be right.
fn check(snapshot: &Snapshot, tensor: &str, right: bool, words: impl Fn() -> (String, String)) -> Result<()> {
    if right {
        return Ok(());
    }
    let (found, needed) = words();
    Err(snapshot
        .of_tensor(format!("tensor {tensor} is {found}, but must be {needed}"), tensor)
        .with("found", found)
        .with("expected", needed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};
    use serde_json::json;

    fn plan(quantization: Value) -> Result<QuantizationPlan> {
        QuantizationPlan::from_config(&json!({ "quantization": quantization }))
    }

    const MXFP4: Quantization = Quantization { mode: Mode::Mxfp4, bits: 4, group_size: 32 };
    const AFFINE8: Quantization = Quantization { mode: Mode::Affine, bits: 8, group_size: 64 };

    #[test]
    fn overrides_are_complete_and_found_under_any_prefix() {
        let plan = plan(json!({
            "group_size": 32, "bits": 4, "mode": "mxfp4",
            "language_model.model.layers.0.router.proj": { "group_size": 64, "bits": 8 },
            "model.layers.1.mlp.up_proj": { "group_size": 64, "bits": 8 },
            "language_model.model.layers.2.mlp.up_proj": false,
            "embed_audio.embedding_projection": true,
            "layers.3.mlp.up_proj": { "group_size": 64, "bits": 8 },
            "language_model.layers.4.mlp.up_proj.weight": { "group_size": 64, "bits": 8 },
            "model.layers.6.mlp.switch_mlp.up_proj": { "group_size": 64, "bits": 8 },
        }))
        .unwrap();
        assert_eq!(plan.parameters("language_model.model.layers.0.router.proj"), Some(AFFINE8));
        assert_eq!(plan.parameters("language_model.model.layers.1.mlp.up_proj"), Some(AFFINE8));
        for path in ["layers.3.mlp.up_proj", "layers.4.mlp.up_proj", "layers.6.mlp.experts.up_proj"] {
            assert_eq!(plan.parameters(&format!("language_model.model.{path}")), Some(AFFINE8), "{path}");
        }
        assert_eq!(plan.parameters("language_model.model.layers.2.mlp.up_proj"), None);
        assert_eq!(plan.parameters("embed_audio.embedding_projection"), Some(MXFP4));
        assert_eq!(plan.parameters("language_model.model.layers.5.mlp.up_proj"), Some(MXFP4));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        for (json, told) in [
            (json!({ "mode": "mxfp4", "group_size": 64, "bits": 4 }), "mxfp4 of 4 bits in groups of 64"),
            (json!({ "group_size": 64, "bits": 7 }), "affine of 7 bits"),
            (json!({ "mode": "ternary" }), "quantization.mode is \"ternary\""),
            (json!({ "bits": "four" }), "quantization.bits is \"four\""),
            (json!({ "a.b": { "bits": 9, "group_size": 64 } }), "quantization.a.b asks for affine of 9 bits"),
        ] {
            let error = plan(json).unwrap_err();
            assert!(error.message().contains(told), "{error}");
        }
        let foreign = json!({ "quantization_config": { "quant_method": "gptq", "bits": 4 } });
        assert_eq!(QuantizationPlan::from_config(&foreign).unwrap().default, None);
        assert_eq!(QuantizationPlan::from_config(&json!({})).unwrap().default, None);
    }

    /// A snapshot with one module `m` of the given tensors, each (suffix, dtype, shape).
    fn snapshot(quantization: Value, tensors: &[(&str, Dtype, &[usize])]) -> Snapshot {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({ "model_type": "t", "quantization": quantization });
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let data = vec![0u8; 1 << 16];
        let views = tensors.iter().map(|(suffix, dtype, shape)| {
            let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (format!("m.{suffix}"), TensorView::new(*dtype, shape.to_vec(), &data[..bytes]).unwrap())
        });
        std::fs::write(dir.path().join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
        Snapshot::open(dir.path()).unwrap()
    }

    fn resolve(quantization: Value, tensors: &[(&str, Dtype, &[usize])]) -> Result<Option<Quantization>> {
        let snapshot = snapshot(quantization, tensors);
        snapshot.quantization.resolve(&snapshot, "m", &[64, 128])
    }

    #[test]
    fn scales_decide_and_shapes_are_checked() {
        let mx = json!({ "mode": "mxfp4", "group_size": 32, "bits": 4 });
        let packed: &'static [usize] = &[64, 16];
        let right = [("weight", Dtype::U32, packed), ("scales", Dtype::U8, &[64, 4])];
        assert_eq!(resolve(mx.clone(), &right).unwrap(), Some(MXFP4));
        let dense: &[usize] = &[64, 128];
        assert_eq!(resolve(mx.clone(), &[("weight", Dtype::BF16, dense)]).unwrap(), None);

        type Tensors = Vec<(&'static str, Dtype, &'static [usize])>;
        let cases: [(Tensors, &str); 4] = [
            (
                vec![("weight", Dtype::BF16, packed)],
                "tensor m.weight is BF16 [64, 16], but must be a float [64, 128]",
            ),
            (
                vec![("weight", Dtype::U32, &[64, 24]), ("scales", Dtype::U8, &[64, 4])],
                "tensor m.weight is U32 [64, 24], but must be U32 [64, 16] for mxfp4 of 4 bits in groups of 32 of [64, 128]",
            ),
            (
                vec![("weight", Dtype::U32, packed), ("scales", Dtype::BF16, &[64, 2])],
                "tensor m.scales is BF16 [64, 2], but must be U8 [64, 4]",
            ),
            (
                vec![("scales", Dtype::U8, &[64, 4])],
                "tensor m.weight is missing: it is not in model.safetensors",
            ),
        ];
        for (tensors, told) in cases {
            let error = resolve(mx.clone(), &tensors).unwrap_err();
            assert!(error.message().contains(told), "{error}");
        }
    }

    /// Every storage from its tensors' shapes, whatever the configuration says of it.
    #[test]
    fn shapes_tell_the_storage() {
        let silent = json!({});
        let wrong = json!({ "group_size": 64, "bits": 4, "mode": "affine" });
        for expected in known() {
            let (words, groups) = (expected.words(128), 128 / expected.group_size as usize);
            let (weight, scales): ([usize; 2], [usize; 2]) = ([64, words], [64, groups]);
            let affine = expected.mode == Mode::Affine;
            let dtype = if affine { Dtype::BF16 } else { Dtype::U8 };
            let mut tensors = vec![("weight", Dtype::U32, &weight[..]), ("scales", dtype, &scales[..])];
            if affine {
                tensors.push(("biases", dtype, &scales[..]));
            }
            for said in [&silent, &wrong] {
                assert_eq!(resolve(said.clone(), &tensors).unwrap(), Some(expected));
            }
        }
    }

    #[test]
    fn affine_needs_biases() {
        let packed: &'static [usize] = &[64, 16];
        let affine = [("weight", Dtype::U32, packed), ("scales", Dtype::BF16, &[64, 2])];
        let error = resolve(json!({ "group_size": 64, "bits": 4 }), &affine).unwrap_err();
        assert!(error.message().contains("tensor m.biases is missing"), "{error}");
    }
}
