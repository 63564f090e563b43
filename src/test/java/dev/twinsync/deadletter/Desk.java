package dev.twinsync.deadletter;

import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.awaitility.core.ThrowingRunnable;

/** The desk's calls, as a person at a terminal makes them. */
final class Desk {

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    record Answer(int status, String body) {
        JsonNode json() {
            return Json.read(body);
        }
    }

    private final String url;

    Desk(String url) {
        this.url = url;
    }

    static void soon(ThrowingRunnable check) {
        within(Duration.ofSeconds(30), check);
    }

    static void within(Duration most, ThrowingRunnable check) {
        // what is not there yet is no failure of the check
        await().atMost(most)
                .pollInterval(Duration.ofMillis(50))
                .ignoreExceptions()
                .untilAsserted(check);
    }

    Answer call(String method, String path, String body, String... headers) {
        try {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path))
                    .header("Authorization", "Bearer ops-key")
                    .header("Content-Type", "application/json")
                    .method(
                            method,
                            body == null
                                    ? HttpRequest.BodyPublishers.noBody()
                                    : HttpRequest.BodyPublishers.ofString(body));
            for (int i = 0; i < headers.length; i += 2) {
                request.header(headers[i], headers[i + 1]);
            }
            HttpResponse<String> answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
            return new Answer(answer.statusCode(), answer.body());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    JsonNode get(String path) {
        return call("GET", path, null).json();
    }

    Answer post(String path, String body, String... headers) {
        return call("POST", path, body, headers);
    }

    /** The only open letter of a record, once it is there. */
    long letter(String key) {
        long[] id = new long[1];
        soon(() -> {
            JsonNode items = get("/dead-letters?state=open&key=" + key).path("items");
            if (items.size() != 1) {
                throw new AssertionError(items.size() + " open letters of " + key);
            }
            id[0] = items.path(0).path("id").asLong();
        });
        return id[0];
    }

    String state(long letter) {
        return get("/dead-letters/" + letter).path("state").asText();
    }

    JsonNode operation(String operation) {
        return get("/dead-letters/retries/" + operation);
    }
}
