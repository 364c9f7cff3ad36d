//! The smallest model of the tests, loaded once.

use std::sync::LazyLock;

use rmlx::{DeviceChoice, LoadOptions, Model};

use super::fixture;

pub fn model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| {
        let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
        Model::load(&fixture(FOLDER), options).expect("the model loads")
    });
    &MODEL
}

pub const FOLDER: &str = "gemma3text-affine4";
