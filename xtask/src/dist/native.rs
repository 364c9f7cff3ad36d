//! The licences of what is inside a library and is no crate: MLX, and what MLX takes in when it is compiled.

/// One of them, and its licence as its authors publish it.
pub struct Native {
    pub name: &'static str,
    license: &'static str,
    pub text: &'static str,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// MLX as xtask compiles it for Apple's platforms.
    Apple,
    /// MLX as its wheel brings it.
    Linux,
}

const ALL: [Native; 6] = [
    Native {
        name: "mlx",
        license: "MIT",
        text: include_str!("../../licenses/mlx.txt"),
        place: Place::Everywhere,
    },
    Native {
        name: "pocketfft",
        license: "BSD-3-Clause",
        text: include_str!("../../licenses/pocketfft.txt"),
        place: Place::Everywhere,
    },
    Native {
        name: "fmt",
        license: "MIT, with an exception for compiled code",
        text: include_str!("../../licenses/fmt.txt"),
        place: Place::Everywhere,
    },
    Native {
        name: "nlohmann-json",
        license: "MIT",
        text: include_str!("../../licenses/nlohmann-json.txt"),
        place: Place::Everywhere,
    },
    Native {
        name: "metal-cpp",
        license: "Apache-2.0",
        text: include_str!("../../licenses/metal-cpp.txt"),
        place: Place::Apple,
    },
    Native {
        name: "gguflib",
        license: "MIT",
        text: include_str!("../../licenses/gguflib.txt"),
        place: Place::Linux,
    },
];

/// Those inside a library for the target.
pub fn inside(target: &str) -> impl Iterator<Item = &'static Native> {
    let here = if target.contains("apple") { Place::Apple } else { Place::Linux };
    ALL.iter().filter(move |native| [Place::Everywhere, here].contains(&native.place))
}

impl Native {
    pub fn line(&self) -> String {
        format!("{}: {}\n", self.name, self.license)
    }
}
