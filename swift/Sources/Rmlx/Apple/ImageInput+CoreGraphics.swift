#if canImport(CoreGraphics)
  import CoreGraphics
  import Foundation

  extension ImageInput {
    /// A picture that is decoded already.
    ///
    /// It is copied as sRGB, and its transparent parts are shown on white.
    ///
    /// The image is taken as it is stored. If a photo has another orientation than up, use `init(_:orientation:)`.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for an image that cannot be drawn.
    public init(_ image: CGImage) throws(RmlxError) {
      try self.init(width: image.width, height: image.height) { context, bounds in
        context.draw(image, in: bounds)
      }
    }

    /// Draws upon white, with the origin at the bottom left.
    init(width: Int, height: Int, draw: (CGContext, CGRect) -> Void) throws(RmlxError) {
      let (bytes, overflow) = width.multipliedReportingOverflow(by: 4 * height)
      guard width > 0, height > 0, !overflow else {
        throw RmlxError(.invalidMedia, "an image of \(width) by \(height) pixels cannot be drawn")
      }
      var pixels = Data(repeating: 255, count: bytes)
      let drawn = pixels.withUnsafeMutableBytes { pixels in
        let context = CGContext(
          data: pixels.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
          space: CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB(),
          bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue | CGBitmapInfo.byteOrder32Big.rawValue)
        if let context { draw(context, CGRect(x: 0, y: 0, width: width, height: height)) }
        return context != nil
      }
      guard drawn else {
        throw RmlxError(.outOfMemory, "there is no memory to draw \(width) by \(height) pixels in")
      }
      self.init(pixels: pixels, width: width, height: height, format: .rgba8)
    }
  }
#endif
