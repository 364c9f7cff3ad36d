#if canImport(AppKit) && !targetEnvironment(macCatalyst)
  import AppKit

  extension ImageInput {
    /// A picture, in the representation that fits its size.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for an image without pixels.
    public init(_ image: NSImage) throws(RmlxError) {
      guard let cgImage = image.cgImage(forProposedRect: nil, context: nil, hints: nil) else {
        throw RmlxError(.invalidMedia, "the image has no pixels")
      }
      try self.init(cgImage)
    }
  }
#endif
