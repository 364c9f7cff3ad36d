//! The samples that rmlx makes of sounds: `samples FOLDER` writes the 16 kHz mono beside each file of the folder (`.f32`, in
//! this machine's byte order) and how many seconds were lost (`.lost`), or what was wrong with it (`.error`).
//! `tools/sound_sweep.py` compares these with other decoders'.

use std::path::Path;

use rmlx::media::Audio;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("usage: samples FOLDER");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| !["f32", "lost", "error"].iter().any(|made| extension == *made))
        {
            write_samples(&path)?;
        }
    }
    Ok(())
}

fn write_samples(path: &Path) -> std::io::Result<()> {
    match Audio::decode(&std::fs::read(path)?) {
        Ok(audio) => {
            let bytes: Vec<u8> = audio.samples().iter().flat_map(|sample| sample.to_ne_bytes()).collect();
            std::fs::write(path.with_extension("f32"), bytes)?;
            std::fs::write(path.with_extension("lost"), audio.lost_seconds().to_string())
        }
        Err(error) => std::fs::write(path.with_extension("error"), format!("{:?} {error}", error.code())),
    }
}
