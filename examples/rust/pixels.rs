//! The pixels that rmlx makes of pictures: `pixels FOLDER` writes a PPM beside each file of the folder, or what was wrong
//! with it. The sweeps in `tools/` compare these with Pillow's.

use std::io::Write;
use std::path::Path;

use rmlx::media::Image;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("usage: pixels FOLDER");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "ppm" && extension != "error") {
            write_pixels(&path)?;
        }
    }
    Ok(())
}

fn write_pixels(path: &Path) -> std::io::Result<()> {
    let image = match Image::decode(&std::fs::read(path)?) {
        Ok(image) => image,
        Err(error) => {
            return std::fs::write(path.with_extension("error"), format!("{:?} {error}", error.code()));
        }
    };
    let file = std::fs::File::create(path.with_extension("ppm"))?;
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "P6 {} {} 255", image.width(), image.height())?;
    for row in image.pixels().into_iter().flat_map(|pixels| pixels.rows()) {
        file.write_all(row)?;
    }
    file.flush()
}
