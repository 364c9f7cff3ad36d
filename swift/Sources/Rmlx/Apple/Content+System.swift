// The system's own pictures and sounds in a literal: as text, they would be descriptions of objects.

#if canImport(CoreGraphics)
  import CoreGraphics

  extension Content.StringInterpolation {
    /// Adds an image at this place.
    ///
    /// One that cannot be drawn fails the answer.
    public mutating func appendInterpolation(_ image: CGImage) {
      append { () throws(RmlxError) in try ImageInput(image) }
    }

    private mutating func append(_ make: () throws(RmlxError) -> ImageInput) {
      do throws(RmlxError) {
        appendInterpolation(try make())
      } catch {
        appendInterpolation(ImageInput(source: MediaSource(.failed(error, .image))))
      }
    }
  }
#endif

#if canImport(CoreImage)
  import CoreImage

  extension Content.StringInterpolation {
    /// Adds an image at this place.
    ///
    /// One that cannot be rendered fails the answer.
    public mutating func appendInterpolation(_ image: CIImage) {
      append { () throws(RmlxError) in try ImageInput(image) }
    }
  }
#endif

#if canImport(UIKit) && !os(watchOS)
  import UIKit

  extension Content.StringInterpolation {
    /// Adds an image at this place.
    ///
    /// One that cannot be drawn fails the answer.
    public mutating func appendInterpolation(_ image: UIImage) {
      append { () throws(RmlxError) in try ImageInput(image) }
    }
  }
#elseif canImport(AppKit) && !targetEnvironment(macCatalyst)
  import AppKit

  extension Content.StringInterpolation {
    /// Adds an image at this place.
    ///
    /// One that cannot be drawn fails the answer.
    public mutating func appendInterpolation(_ image: NSImage) {
      append { () throws(RmlxError) in try ImageInput(image) }
    }
  }
#endif

#if canImport(AVFAudio)
  import AVFAudio

  extension Content.StringInterpolation {
    /// Adds a sound at this place.
    ///
    /// One whose samples cannot be read fails the answer.
    public mutating func appendInterpolation(_ sound: AVAudioPCMBuffer) {
      do throws(RmlxError) {
        appendInterpolation(try AudioInput(sound))
      } catch {
        appendInterpolation(AudioInput(source: MediaSource(.failed(error, .audio))))
      }
    }
  }
#endif
