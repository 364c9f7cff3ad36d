import Foundation
import Testing

@testable import Rmlx

/// What is around the system's decoders, which only Apple's platforms have.
struct SystemMediaTests {
  /// A picture of 3 by 2 pixels, numbered, as each of the eight orientations stores it, turns into itself.
  @Test func everyOrientationIsTurnedUpright() {
    let picture: [[UInt8]] = [[0, 1, 2], [3, 4, 5]]
    let stored: [UInt32: [[UInt8]]] = [
      1: [[0, 1, 2], [3, 4, 5]], 2: [[2, 1, 0], [5, 4, 3]], 3: [[5, 4, 3], [2, 1, 0]], 4: [[3, 4, 5], [0, 1, 2]],
      5: [[0, 3], [1, 4], [2, 5]], 6: [[2, 5], [1, 4], [0, 3]], 7: [[5, 2], [4, 1], [3, 0]],
      8: [[3, 0], [4, 1], [5, 2]],
    ]
    for (orientation, rows) in stored {
      let turned = upright(
        Self.pixels(rows), width: rows[0].count, height: rows.count, orientation: orientation)
      #expect(turned.width == 3 && turned.height == 2, "orientation \(orientation)")
      #expect(turned.pixels == Self.pixels(picture), "orientation \(orientation)")
    }
    let unknown = upright(Self.pixels(picture), width: 3, height: 2, orientation: 77)
    #expect(unknown.pixels == Self.pixels(picture))
  }

  @Test func alphaIsTakenOutOfTheColours() {
    var pixels = Data([100, 50, 0, 255, 50, 25, 0, 128, 9, 8, 7, 0, 200, 0, 1, 100])
    withoutAlpha(&pixels)
    #expect(Array(pixels[0..<8]) == [100, 50, 0, 255, 100, 50, 0, 255])
    // Nothing was to be seen, and more than alpha cannot be.
    #expect(Array(pixels[8..<16]) == [9, 8, 7, 0, 255, 0, 3, 255])
  }

  @Test(arguments: [
    ("ftypheic", "heic"), ("ftypmif1", "heic"), ("ftypavif", "avif"),
  ])
  func picturesOfTheSystemAreKnown(_ head: String, _ format: String) {
    #expect(SystemFormat(Data([0, 0, 0, 24]) + Data(head.utf8), .image)?.rawValue == format)
  }

  @Test func soundsOfTheSystemAreKnown() {
    #expect(SystemFormat(Data([0, 0, 0, 24]) + Data("ftypM4A ".utf8), .audio) == .m4a)
    #expect(SystemFormat(Data("caff\0\u{1}\0\0desc".utf8), .audio) == .caf)
    #expect(SystemFormat(Data("FORM0000AIFC".utf8), .audio) == .aiff)
  }

  /// What the library decodes is never the system's, and neither is what nobody does.
  @Test(arguments: ["RIFF0000WEBPVP8 ", "RIFF0000WAVEfmt ", "ftypheic", "\u{89}PNG\r\n", "", "OggS00000000", "ID3"])
  func otherFormatsAreTheLibrarys(_ head: String) {
    #expect(SystemFormat(Data(head.utf8), .image) == nil)
    #expect(SystemFormat(Data(head.utf8), .audio) == nil)
  }

  private static func pixels(_ rows: [[UInt8]]) -> Data {
    Data(rows.joined().flatMap { [$0, $0 + 10, $0 + 20, 255] })
  }
}
