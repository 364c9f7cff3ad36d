// swift-tools-version: 6.0

import Foundation
import PackageDescription

// Apple platforms take the library as a binary, which `cargo xtask xcframework` makes. Linux takes the installed one, which
// is found through pkg-config, or through LIBRARY_PATH and LD_LIBRARY_PATH. RMLX_PACKAGING chooses otherwise.
#if os(Linux)
  let usual = "system"
#else
  let usual = "xcframework"
#endif
let packaging = Context.environment["RMLX_PACKAGING"] ?? usual

// The root of the repository has a link to this manifest, so that the package can be added by the repository's address.
let isRoot = FileManager.default.fileExists(atPath: Context.packageDirectory + "/swift/Package.swift")
let folder = isRoot ? "swift/" : ""

// A release replaces this by the address and the checksum of its own binary.
let release: (url: String, checksum: String)? = nil

let library: Target =
  if packaging == "xcframework" {
    if let release {
      .binaryTarget(name: "CRmlx", url: release.url, checksum: release.checksum)
    } else {
      .binaryTarget(name: "CRmlx", path: folder + "Binaries/CRmlx.xcframework")
    }
  } else {
    .systemLibrary(name: "CRmlx", path: folder + "Sources/CRmlx", pkgConfig: "rmlx")
  }

let package = Package(
  name: "Rmlx",
  platforms: [.macOS(.v14), .iOS(.v17)],
  products: [
    .library(name: "Rmlx", targets: ["Rmlx"]),
    // Behind the session of Apple's FoundationModels, from iOS 27 and macOS 27 on; empty elsewhere.
    .library(name: "RmlxFoundationModels", targets: ["RmlxFoundationModels"]),
  ],
  targets: [
    library,
    .target(name: "Rmlx", dependencies: ["CRmlx"], path: folder + "Sources/Rmlx"),
    .target(name: "RmlxFoundationModels", dependencies: ["Rmlx"], path: folder + "Sources/RmlxFoundationModels"),
    .testTarget(name: "RmlxTests", dependencies: ["Rmlx"], path: folder + "Tests/RmlxTests"),
  ],
  swiftLanguageModes: [.v6]
)
