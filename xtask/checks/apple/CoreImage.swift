// Stands in for Core Image where there is none: the declarations that the Swift package uses.

import CoreGraphics
import CoreVideo
import ImageIO

public final class CIColor {
  public class var white: CIColor { fatalError() }
}

public final class CIImage {
  public init(cgImage: CGImage) {}
  public init(cvPixelBuffer: CVPixelBuffer) {}
  public init(color: CIColor) {}
  public var extent: CGRect { fatalError() }
  public func composited(over image: CIImage) -> CIImage { fatalError() }
  public func cropped(to rect: CGRect) -> CIImage { fatalError() }
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
