// Stands in for Core Image where there is none: the declarations that the Swift package uses.

import CoreGraphics
import CoreVideo
import ImageIO

public final class CIImage {
  public init(cgImage: CGImage) {}
  public init(cvPixelBuffer: CVPixelBuffer) {}
  public var extent: CGRect { fatalError() }
  public var colorSpace: CGColorSpace? { fatalError() }
  public func unpremultiplyingAlpha() -> CIImage { fatalError() }
  public func settingAlphaOne(in extent: CGRect) -> CIImage { fatalError() }
  public func oriented(_ orientation: CGImagePropertyOrientation) -> CIImage { fatalError() }
}

public struct CIFormat: Sendable {
  public static var RGBA8: CIFormat { CIFormat() }
}

public struct CIContextOption: Hashable, Sendable {
  public static let cacheIntermediates = CIContextOption()
}

public final class CIContext {
  public init(options: [CIContextOption: Any]?) {}
  public func render(
    _ image: CIImage, toBitmap data: UnsafeMutableRawPointer, rowBytes: Int, bounds: CGRect, format: CIFormat,
    colorSpace: CGColorSpace?
  ) {}
}
