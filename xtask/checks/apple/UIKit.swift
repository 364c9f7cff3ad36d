// Stands in for UIKit where there is none: the declarations that the Swift package uses.

@_exported import CoreGraphics
@_exported import CoreImage
@_exported import Foundation
@_exported import ImageIO

public final class UIImage {
  public enum Orientation: Int, Sendable {
    case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
  }
  public var cgImage: CGImage? { fatalError() }
  public var ciImage: CIImage? { fatalError() }
  public var imageOrientation: Orientation { fatalError() }
}

@MainActor public final class UIApplication {
  public nonisolated class var didReceiveMemoryWarningNotification: Notification.Name { fatalError() }
  public nonisolated class var didEnterBackgroundNotification: Notification.Name { fatalError() }
}
