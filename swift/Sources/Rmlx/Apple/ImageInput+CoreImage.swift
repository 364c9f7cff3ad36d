#if canImport(CoreImage)
  import CoreGraphics
  import CoreImage
  import CoreVideo
  import Foundation
  import ImageIO

  extension ImageInput {
    /// A Core Image picture, rendered within its extent.
    ///
    /// It comes in its own colours of red, green and blue, or else in sRGB. Its transparency is left out, as with a file.
    ///
    /// - Parameters:
    ///   - image: The picture.
    ///   - context: Renders it. A context is costly to make, so pass yours if you have many pictures.
    /// - Throws: ``RmlxError/Code/invalidMedia`` for a picture without an end.
    public init(_ image: CIImage, context: CIContext? = nil) throws(RmlxError) {
      let extent = image.extent.integral
      guard !extent.isEmpty, !extent.isInfinite, extent.width * extent.height <= 134_217_728 else {
        throw RmlxError(.invalidMedia, "an image of the extent \(extent) cannot be rendered")
      }
      let (width, height) = (Int(extent.width), Int(extent.height))
      let opaque = image.unpremultiplyingAlpha().settingAlphaOne(in: extent)
      var pixels = Data(count: 4 * width * height)
      pixels.withUnsafeMutableBytes { pixels in
        guard let start = pixels.baseAddress else { return }
        (context ?? CIContext(options: [.cacheIntermediates: false])).render(
          opaque, toBitmap: start, rowBytes: 4 * width, bounds: extent, format: .RGBA8,
          colorSpace: image.colorSpace?.ofRedGreenBlue ?? CGColorSpace(name: CGColorSpace.sRGB))
      }
      self.init(pixels: pixels, width: width, height: height, format: .rgba8)
    }

    /// A picture that is decoded already, turned the right way up: the one that its file gives.
    ///
    /// - Parameters:
    ///   - image: The picture as it is stored.
    ///   - orientation: How it is to be turned, as a camera noted it.
    /// - Throws: ``RmlxError/Code/invalidMedia`` for an image that cannot be drawn.
    public init(_ image: CGImage, orientation: CGImagePropertyOrientation) throws(RmlxError) {
      self = try Self.drawn(image, orientation: orientation.rawValue)
    }

    /// A frame of a camera or a video, which is copied.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for a buffer that cannot be read.
    public init(_ buffer: CVPixelBuffer) throws(RmlxError) {
      guard CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA else {
        // Core Image knows the other formats, and what colours their numbers stand for.
        try self.init(CIImage(cvPixelBuffer: buffer))
        return
      }
      guard CVPixelBufferLockBaseAddress(buffer, .readOnly) == kCVReturnSuccess else {
        throw RmlxError(.invalidMedia, "the pixel buffer cannot be locked")
      }
      defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
      guard let start = CVPixelBufferGetBaseAddress(buffer) else {
        throw RmlxError(.invalidMedia, "the pixel buffer has no pixels")
      }
      let (height, rowStride) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetBytesPerRow(buffer))
      self.init(
        pixels: Data(bytes: start, count: height * rowStride), width: CVPixelBufferGetWidth(buffer), height: height,
        rowStride: rowStride, format: .bgra8)
    }
  }
#endif
