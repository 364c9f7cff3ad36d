//! Every golden conversation through the C ABI, for every variant of the tiny model: ids after placement, logits and
//! greedy tokens are those of transformers.

mod common;

use common::golden::Case;
use common::{Model, Session, json_fixture};

/// All the conversations that the reference has answered with these weights.
fn check(folder: &str) {
    let snapshots = json_fixture("snapshots.json");
    let key = snapshots[folder].as_str().expect("a key");
    let model = Model::fixture(folder);
    let mut cases = 0;
    for case in Case::all() {
        if case.json["results"].get(key).is_some() {
            case.check(&Session::new(&model), key);
            cases += 1;
        }
    }
    assert!(cases >= 7, "{folder} has {cases} cases");
}

/// The same conversations one after the other in one session, which reuses what they begin with alike.
#[test]
fn a_session_that_goes_on_answers_the_same() {
    let model = Model::fixture("unified-bf16-mlx");
    let session = Session::new(&model);
    for case in Case::all() {
        case.check(&session, "bf16");
    }
}

#[test]
fn every_snapshot_is_tested() {
    let snapshots = json_fixture("snapshots.json");
    let known: Vec<_> = snapshots.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(known, TESTED);
}

macro_rules! snapshots {
    ($($name:ident: $folder:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($folder),*];
        $(
            #[test]
            fn $name() {
                check($folder);
            }
        )*
    };
}

snapshots! {
    bf16_in_published_layout: "unified-bf16-hf",
    bf16_in_mlx_layout: "unified-bf16-mlx",
    affine_4_bits: "unified-affine4",
    mxfp4: "unified-mxfp4",
    nvfp4: "unified-nvfp4",
    mxfp8: "unified-mxfp8",
    mixed_float_modes: "unified-mixed-fp",
    mixed_affine: "unified-mixed-affine",
}
