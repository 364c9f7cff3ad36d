#if canImport(CoreGraphics)
  import CoreGraphics
  import Foundation

  extension ImageInput {
    /// A picture that is decoded already: the one that its file gives.
    ///
    /// As with a file, its numbers are taken as they are, whichever colours of red, green and blue they stand for, and its
    /// transparency is left out. A picture in other colours than those, or than gray, is converted to sRGB.
    ///
    /// The image is taken as it is stored. If a photo has another orientation than up, use `init(_:orientation:)`.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for an image that cannot be drawn.
    public init(_ image: CGImage) throws(RmlxError) {
      self = try Self.drawn(image, orientation: 1)
    }

    /// Orientations are EXIF's.
    static func drawn(_ image: CGImage, orientation: UInt32) throws(RmlxError) -> ImageInput {
      var pixels = try draw(image.withAlphaIgnored ?? image)
      withoutAlpha(&pixels)
      let (turned, width, height) = upright(
        pixels, width: image.width, height: image.height, orientation: orientation)
      return ImageInput(pixels: turned, width: width, height: height, format: .rgba8)
    }

    /// The numbers of the image, premultiplied by its alpha.
    private static func draw(_ image: CGImage) throws(RmlxError) -> Data {
      let (width, height) = (image.width, image.height)
      // As many as the library takes.
      guard width > 0, height > 0, width <= 65_535, height <= 65_535, width * height <= 1 << 27 else {
        throw RmlxError(.invalidMedia, "an image of \(width) by \(height) pixels cannot be drawn")
      }
      let bounds = CGRect(x: 0, y: 0, width: width, height: height)
      var pixels = Data(count: 4 * width * height)
      let isDrawn = pixels.withUnsafeMutableBytes { pixels in
        if image.colorSpace?.model == .monochrome, image.alphaInfo == .none {
          return drawGray(image, bounds, pixels)
        }
        let sRGB = CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB()
        for space in [image.colorSpace?.ofRedGreenBlue, sRGB].compactMap({ $0 }) {
          let context = CGContext(
            data: pixels.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
            space: space, bitmapInfo: CGImageAlphaInfo.premultipliedLast.rawValue | CGBitmapInfo.byteOrder32Big.rawValue
          )
          if let context {
            context.draw(image, in: bounds)
            return true
          }
        }
        return false
      }
      guard isDrawn else {
        throw RmlxError(.outOfMemory, "there is no memory to draw \(width) by \(height) pixels in")
      }
      return pixels
    }

    /// Gray numbers are red, green and blue ones, as in a file.
    private static func drawGray(_ image: CGImage, _ bounds: CGRect, _ pixels: UnsafeMutableRawBufferPointer) -> Bool {
      let count = image.width * image.height
      // The gray ones lie in the last quarter: each is read before its place is written to.
      let gray = UnsafeMutableRawBufferPointer(rebasing: pixels[(3 * count)...])
      guard let space = image.colorSpace,
        let context = CGContext(
          data: gray.baseAddress, width: image.width, height: image.height, bitsPerComponent: 8,
          bytesPerRow: image.width, space: space, bitmapInfo: CGImageAlphaInfo.none.rawValue)
      else { return false }
      context.draw(image, in: bounds)
      for pixel in 0..<count {
        let value = gray[pixel]
        for channel in 0..<3 { pixels[4 * pixel + channel] = value }
        pixels[4 * pixel + 3] = 255
      }
      return true
    }
  }

  extension CGImage {
    /// The same numbers with the alpha beside them not looked at, where they are not multiplied by it.
    fileprivate var withAlphaIgnored: CGImage? {
      let skipped: CGImageAlphaInfo
      switch alphaInfo {
      case .last: skipped = .noneSkipLast
      case .first: skipped = .noneSkipFirst
      default: return nil
      }
      guard let space = colorSpace, let provider = dataProvider else { return nil }
      let info = bitmapInfo.rawValue & ~CGBitmapInfo.alphaInfoMask.rawValue | skipped.rawValue
      return CGImage(
        width: width, height: height, bitsPerComponent: bitsPerComponent, bitsPerPixel: bitsPerPixel,
        bytesPerRow: bytesPerRow, space: space, bitmapInfo: CGBitmapInfo(rawValue: info), provider: provider,
        decode: decode, shouldInterpolate: false, intent: renderingIntent)
    }
  }

  extension CGColorSpace {
    /// Itself if it is one of red, green and blue that can be drawn in, or that of the colours in its table.
    var ofRedGreenBlue: CGColorSpace? {
      switch model {
      case .rgb: supportsOutput ? self : nil
      case .indexed: baseColorSpace?.ofRedGreenBlue
      default: nil
      }
    }
  }
#endif
