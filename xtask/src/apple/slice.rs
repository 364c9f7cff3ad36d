//! The platforms that rmlx is built for with Apple's tools.

/// One platform of the binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slice {
    Device,
    Simulator,
    Mac,
}

impl Slice {
    pub const ALL: [Self; 3] = [Self::Device, Self::Simulator, Self::Mac];

    /// The target of Rust. MLX needs Apple's own processors, on Macs too.
    pub fn target(self) -> &'static str {
        match self {
            Self::Device => "aarch64-apple-ios",
            Self::Simulator => "aarch64-apple-ios-sim",
            Self::Mac => "aarch64-apple-darwin",
        }
    }

    /// The target of clang.
    pub fn clang_target(self) -> String {
        match self {
            Self::Device => format!("arm64-apple-ios{}", self.minimum()),
            Self::Simulator => format!("arm64-apple-ios{}-simulator", self.minimum()),
            Self::Mac => format!("arm64-apple-macosx{}", self.minimum()),
        }
    }

    pub fn sdk(self) -> &'static str {
        match self {
            Self::Device => "iphoneos",
            Self::Simulator => "iphonesimulator",
            Self::Mac => "macosx",
        }
    }

    /// As Info.plist names it.
    pub fn platform(self) -> &'static str {
        match self {
            Self::Device => "iPhoneOS",
            Self::Simulator => "iPhoneSimulator",
            Self::Mac => "MacOSX",
        }
    }

    /// The oldest system that the package supports.
    pub fn minimum(self) -> &'static str {
        match self {
            Self::Device | Self::Simulator => "17.0",
            Self::Mac => "14.0",
        }
    }

    pub fn minimum_variable(self) -> &'static str {
        match self {
            Self::Device | Self::Simulator => "IPHONEOS_DEPLOYMENT_TARGET",
            Self::Mac => "MACOSX_DEPLOYMENT_TARGET",
        }
    }

    /// MLX has no Metal in the simulator: its slice links, and loading answers UNSUPPORTED.
    pub fn has_metal(self) -> bool {
        self != Self::Simulator
    }

    /// The frameworks that MLX's CMake links, and so whoever links MLX's archive.
    pub fn frameworks(self) -> &'static [&'static str] {
        if self.has_metal() {
            &["Accelerate", "Foundation", "Metal", "QuartzCore"]
        } else {
            &["Accelerate", "Foundation"]
        }
    }
}

/// The libraries of the system: MLX's C++, and the Objective-C runtime that metal-cpp calls.
pub const SYSTEM_LIBRARIES: [&str; 2] = ["c++", "objc"];

/// What CMake builds, in the order of who needs whom.
pub const STATIC_LIBRARIES: [&str; 2] = ["mlxc", "mlx"];
