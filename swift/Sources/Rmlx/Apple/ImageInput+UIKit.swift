#if canImport(UIKit) && !os(watchOS)
  import UIKit

  extension ImageInput {
    /// A picture, the right way up.
    ///
    /// - Throws: ``RmlxError/Code/invalidMedia`` for an image without pixels.
    public init(_ image: UIImage) throws(RmlxError) {
      if let ciImage = image.ciImage {
        try self.init(ciImage.oriented(CGImagePropertyOrientation(image.imageOrientation)))
      } else if let cgImage = image.cgImage {
        try self.init(cgImage, orientation: CGImagePropertyOrientation(image.imageOrientation))
      } else {
        throw RmlxError(.invalidMedia, "the image has no pixels")
      }
    }
  }

  extension CGImagePropertyOrientation {
    /// UIKit numbers the same eight orientations differently.
    fileprivate init(_ orientation: UIImage.Orientation) {
      self =
        switch orientation {
        case .up: .up
        case .upMirrored: .upMirrored
        case .down: .down
        case .downMirrored: .downMirrored
        case .left: .left
        case .leftMirrored: .leftMirrored
        case .right: .right
        case .rightMirrored: .rightMirrored
        @unknown default: .up
        }
    }
  }
#endif
