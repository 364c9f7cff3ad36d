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
  public nonisolated class var willEnterForegroundNotification: Notification.Name { fatalError() }
  public class var shared: UIApplication { fatalError() }
  public func beginBackgroundTask(
    withName name: String?, expirationHandler: (@MainActor @Sendable () -> Void)?
  ) -> UIBackgroundTaskIdentifier { fatalError() }
  public func endBackgroundTask(_ identifier: UIBackgroundTaskIdentifier) { fatalError() }
}

public struct UIBackgroundTaskIdentifier: RawRepresentable, Hashable, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
}
