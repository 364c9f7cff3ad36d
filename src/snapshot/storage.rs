//! Storages of other programs, which are refused by name. The tensors tell: a configuration may speak of a storage that
//! the weights no longer have.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::tensor::Dtype;
use serde_json::Value;

use super::file_name;
use super::header::TensorInfo;
use crate::error::{Error, Result};

/// Ends of tensors' names, and whose they are.
const ENDS: [(&str, &str); 16] = [
    (".qweight", "GPTQ or AWQ"),
    (".qzeros", "GPTQ or AWQ"),
    (".g_idx", "GPTQ"),
    (".weight_packed", "compressed-tensors"),
    (".weight_shape", "compressed-tensors"),
    (".weight_scale_2", "NVIDIA's ModelOpt"),
    (".weight_scale_inv", "FP8 in blocks"),
    (".weight_scale", "FP8 or INT8 with scales"),
    (".weight_scales", "EETQ"),
    (".absmax", "bitsandbytes"),
    (".quant_map", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".W_q", "HQQ"),
    ("._data", "Quanto"),
    ("_proj_blocks", "OpenAI's MXFP4"),
    (".quant_state.bitsandbytes__nf4", "bitsandbytes"),
];

/// An error for weights that are quantized, and not as MLX does it.
pub fn require_known(
    config: &Value,
    tensors: &BTreeMap<String, TensorInfo>,
    shards: &[PathBuf],
) -> Result<()> {
    let foreign = tensors.iter().find_map(|(name, info)| whose(name, info).map(|whose| (name, info, whose)));
    let Some((name, info, whose)) = foreign else { return Ok(()) };
    let method = method(config).map(spelled).unwrap_or_else(|| whose.to_owned());
    let file = shards.get(info.shard).map(|path| file_name(path)).unwrap_or_default();
    let message = format!(
        "the weights are quantized by {method} (tensor {name}, {:?}, in {file}), which is not run: take the model from \
         mlx-community, or convert the unquantized one with mlx_vlm.convert or mlx_lm.convert",
        info.dtype
    );
    Err(Error::unsupported(message).with("quantization", method).with("tensor", name.as_str()))
}

fn whose(name: &str, info: &TensorInfo) -> Option<&'static str> {
    if let Some((_, whose)) = ENDS.iter().find(|(end, _)| name.ends_with(end)) {
        return Some(whose);
    }
    if !name.ends_with(".weight") {
        return None;
    }
    match info.dtype {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => Some("FP8"),
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 => Some("floats of 4 or 6 bits"),
        Dtype::I8 => Some("INT8"),
        Dtype::U8 => Some("packed bytes, as bitsandbytes and ModelOpt have them,"),
        _ => None,
    }
}

/// What the configuration says, wherever it says it.
fn method(config: &Value) -> Option<&str> {
    let text = config.get("text_config");
    let sections = ["quantization_config", "compression_config"];
    let found = sections.iter().flat_map(|key| [config.get(key), text.and_then(|text| text.get(key))]);
    found.flatten().find_map(|section| section.get("quant_method")?.as_str())
}

fn spelled(method: &str) -> String {
    match method {
        "fp8" | "gptq" | "awq" | "hqq" | "eetq" | "aqlm" => method.to_uppercase(),
        "modelopt" => "NVIDIA's ModelOpt".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Code;

    #[test]
    fn storages_of_others_are_named() {
        let gptq = json!({ "quantization_config": { "quant_method": "gptq", "bits": 4 } });
        let packed =
            json!({ "text_config": { "quantization_config": { "quant_method": "compressed-tensors" } } });
        let fp8 = json!({ "quantization_config": { "quant_method": "fp8" } });
        let none = json!({});
        for (config, end, dtype, told) in [
            (&gptq, "qweight", Dtype::I32, Some("GPTQ")),
            (&none, "qweight", Dtype::I32, Some("GPTQ or AWQ")),
            (&packed, "weight_packed", Dtype::I32, Some("compressed-tensors")),
            (&fp8, "weight", Dtype::F8_E4M3, Some("FP8")),
            (&none, "weight", Dtype::F8_E5M2, Some("FP8")),
            (&none, "weight_scale_2", Dtype::F32, Some("NVIDIA's ModelOpt")),
            (&none, "absmax", Dtype::U8, Some("bitsandbytes")),
            (&none, "weight", Dtype::I8, Some("INT8")),
            // What was quantized once, and is not any more.
            (&gptq, "weight", Dtype::BF16, None),
            (&none, "weight", Dtype::U32, None),
            (&none, "scales", Dtype::U8, None),
        ] {
            let info =
                TensorInfo { file_name: String::new(), shard: 0, dtype, shape: vec![2], bytes: 2, offset: 0 };
            let tensors = [(format!("m.{end}"), info)].into();
            let found = require_known(config, &tensors, &[PathBuf::from("/m/model.safetensors")]);
            assert_eq!(found.is_err(), told.is_some(), "{end}");
            let (Err(error), Some(told)) = (found, told) else { continue };
            assert_eq!(error.code(), Code::Unsupported);
            let begin = format!("the weights are quantized by {told} (tensor m.{end}, ");
            assert!(error.message().starts_with(&begin), "{error}");
            assert!(error.message().contains("model.safetensors), which is not run: take"), "{error}");
        }
    }
}
