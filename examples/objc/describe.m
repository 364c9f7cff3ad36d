/*
 * Asks a model about pictures and sounds, and prints the answer while it is being made:
 *
 *     describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION
 *
 * It shows how an Objective-C host wraps the C library: failures are NSErrors, and the answer comes to
 * a delegate. It compiles with and without automatic reference counting. On a Mac:
 *
 *     clang -fobjc-arc describe.m -framework Foundation $(pkg-config --cflags --libs rmlx) -o describe
 */

#import <Foundation/Foundation.h>

#include <rmlx.h>
#include <stdio.h>

#if __has_feature(objc_arc)
#define AUTORELEASED(object) (object)
#define RELEASE_SUPER
#else
#define AUTORELEASED(object) [(object) autorelease]
#define RELEASE_SUPER [super dealloc]
#endif

static NSString *const ChatErrorDomain = @"org.rmlx.ErrorDomain";

/* An NSError whose code is one of RMLX_ERROR_*. */
static NSError *failure(rmlx_status code, NSString *message) {
    NSDictionary *info = [NSDictionary dictionaryWithObject:message forKey:NSLocalizedDescriptionKey];
    return [NSError errorWithDomain:ChatErrorDomain code:code userInfo:info];
}

/* Passes an error of the C library on, and takes it over. Always NO, for `return fail(...)`. */
static BOOL fail(rmlx_error *error, NSError **out) {
    if (out != NULL)
        *out = failure(rmlx_error_code(error), [NSString stringWithUTF8String:rmlx_error_message(error)]);
    rmlx_error_release(error);
    return NO;
}

@protocol ChatDelegate <NSObject>
- (void)chatDidAnswer:(NSString *)text;
@end

/* A model and one conversation with it. Its methods wait for the model, so call them from a thread that may wait. */
@interface Chat : NSObject {
    rmlx_model *_model;
    rmlx_session *_session;
    rmlx_prompt *_prompt;
}
- (BOOL)loadSnapshot:(NSString *)folder error:(NSError **)out;
- (BOOL)beginQuestion:(NSError **)out;
- (BOOL)addImageData:(NSData *)data error:(NSError **)out;
- (BOOL)addSoundData:(NSData *)data error:(NSError **)out;
- (BOOL)addText:(NSString *)text error:(NSError **)out;
- (BOOL)answerTo:(id<ChatDelegate>)delegate error:(NSError **)out;
@end

@implementation Chat

- (instancetype)init {
    self = [super init];
    if (self != nil)
        _prompt = rmlx_prompt_new();
    return self;
}

- (void)dealloc {
    rmlx_prompt_release(_prompt);
    rmlx_session_release(_session);
    rmlx_model_release(_model);
    RELEASE_SUPER;
}

- (BOOL)loadSnapshot:(NSString *)folder error:(NSError **)out {
    rmlx_error *error = NULL;
    if (rmlx_model_load([folder fileSystemRepresentation], NULL, &_model, &error) != RMLX_OK)
        return fail(error, out);
    if (rmlx_session_new(_model, NULL, &_session, &error) != RMLX_OK)
        return fail(error, out);
    return YES;
}

- (BOOL)beginQuestion:(NSError **)out {
    rmlx_error *error = NULL;
    return rmlx_prompt_begin_message(_prompt, "user", &error) == RMLX_OK || fail(error, out);
}

- (BOOL)addImageData:(NSData *)data error:(NSError **)out {
    rmlx_error *error = NULL;
    rmlx_media *media = NULL;
    if (rmlx_image_from_encoded([data bytes], [data length], NULL, &media, &error) != RMLX_OK)
        return fail(error, out);
    return [self addMedia:media error:out];
}

- (BOOL)addSoundData:(NSData *)data error:(NSError **)out {
    rmlx_error *error = NULL;
    rmlx_media *media = NULL;
    if (rmlx_audio_from_encoded([data bytes], [data length], NULL, &media, &error) != RMLX_OK)
        return fail(error, out);
    return [self addMedia:media error:out];
}

/* Takes the reference over. */
- (BOOL)addMedia:(rmlx_media *)media error:(NSError **)out {
    rmlx_error *error = NULL;
    rmlx_status status = rmlx_prompt_add_media(_prompt, media, &error);
    rmlx_media_release(media);
    return status == RMLX_OK || fail(error, out);
}

- (BOOL)addText:(NSString *)text error:(NSError **)out {
    rmlx_error *error = NULL;
    NSData *utf8 = [text dataUsingEncoding:NSUTF8StringEncoding];
    return rmlx_prompt_add_text(_prompt, [utf8 bytes], [utf8 length], &error) == RMLX_OK || fail(error, out);
}

- (BOOL)answerTo:(id<ChatDelegate>)delegate error:(NSError **)out {
    rmlx_error *error = NULL;
    if (rmlx_session_submit(_session, _prompt, NULL, &error) != RMLX_OK)
        return fail(error, out);
    BOOL well = YES;
    for (BOOL done = NO; !done;) {
        rmlx_event *event = NULL;
        if (rmlx_session_step(_session, &event, &error) != RMLX_OK)
            return fail(error, out);
        size_t size = 0;
        const char *bytes = rmlx_event_text(event, &size);
        NSString *text = [[NSString alloc] initWithBytes:bytes length:size encoding:NSUTF8StringEncoding];
        const rmlx_event_type kind = rmlx_event_kind(event);
        done = kind == RMLX_EVENT_FINISH;
        // The last event may bring what was held back.
        if (size > 0 && (done || kind == RMLX_EVENT_TEXT))
            [delegate chatDidAnswer:AUTORELEASED(text)];
        const rmlx_error *wrong = rmlx_event_error(event);
        if (wrong != NULL && out != NULL)
            *out = failure(rmlx_error_code(wrong), [NSString stringWithUTF8String:rmlx_error_message(wrong)]);
        well = well && wrong == NULL;
        rmlx_event_release(event);
    }
    return well;
}

@end

@interface Printer : NSObject <ChatDelegate>
@end

@implementation Printer

- (void)chatDidAnswer:(NSString *)text {
    fputs([text UTF8String], stdout);
    fflush(stdout);
}

@end

/* Makes one message of the user out of the arguments after the snapshot: media first, then the question. */
static BOOL ask(Chat *chat, NSArray *arguments, NSError **out) {
    if (![chat beginQuestion:out])
        return NO;
    for (NSUInteger i = 0; i + 1 < [arguments count]; i += 2) {
        NSString *file = [arguments objectAtIndex:i + 1];
        NSData *data = [NSData dataWithContentsOfFile:file];
        if (data == nil) {
            *out = failure(RMLX_ERROR_NOT_FOUND, [@"cannot read " stringByAppendingString:file]);
            return NO;
        }
        BOOL isImage = [[arguments objectAtIndex:i] isEqualToString:@"-i"];
        if (!(isImage ? [chat addImageData:data error:out] : [chat addSoundData:data error:out]))
            return NO;
    }
    return [chat addText:[arguments lastObject] error:out];
}

int main(int argc, char **argv) {
    @autoreleasepool {
        if (argc < 3 || argc % 2 == 0) {
            fprintf(stderr, "usage: describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION\n");
            return 2;
        }
        NSMutableArray *arguments = [NSMutableArray array];
        for (int i = 2; i < argc; i++)
            [arguments addObject:[NSString stringWithUTF8String:argv[i]]];
        NSError *error = nil;
        Chat *chat = AUTORELEASED([[Chat alloc] init]);
        Printer *printer = AUTORELEASED([[Printer alloc] init]);
        BOOL well = [chat loadSnapshot:[NSString stringWithUTF8String:argv[1]] error:&error] &&
                    ask(chat, arguments, &error) && [chat answerTo:printer error:&error];
        if (well)
            putchar('\n');
        else
            fprintf(stderr, "describe: %s\n", [[error localizedDescription] UTF8String]);
        return well ? 0 : 1;
    }
}
