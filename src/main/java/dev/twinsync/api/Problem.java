package dev.twinsync.api;

import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.ProblemDetail;

/** An error answer (RFC 9457): says what is wrong and where, and nothing of the inside. */
public class Problem extends RuntimeException {

    private final ProblemDetail detail;

    public Problem(HttpStatusCode status, String detail) {
        this(status, detail, List.of());
    }

    Problem(HttpStatusCode status, String detail, List<Schema.Problem> problems) {
        super(detail);
        this.detail = of(status, detail, problems);
    }

    /** What a question is asked by, null for all, has to be one of some words. */
    public static void oneOf(String name, String asked, Collection<String> values) {
        if (asked != null && !values.contains(asked)) {
            throw new Problem(HttpStatus.BAD_REQUEST, name + ": write one of " + String.join(", ", values));
        }
    }

    public ProblemDetail detail() {
        return detail;
    }

    static ProblemDetail of(HttpStatusCode status, String detail, List<Schema.Problem> problems) {
        ProblemDetail answer = ProblemDetail.forStatusAndDetail(status, detail);
        HttpStatus known = HttpStatus.resolve(status.value());
        answer.setTitle(known == null ? "Error" : known.getReasonPhrase());
        if (!problems.isEmpty()) {
            answer.setProperty(
                    "errors",
                    problems.stream()
                            .map(p -> Map.of("pointer", p.pointer(), "message", p.message()))
                            .toList());
        }
        return answer;
    }

    static void write(HttpServletResponse response, HttpStatus status, String detail) throws IOException {
        response.setStatus(status.value());
        response.setContentType("application/problem+json");
        response.getOutputStream()
                .write(Json.bytes(Map.of(
                        "type",
                        "about:blank",
                        "title",
                        status.getReasonPhrase(),
                        "status",
                        status.value(),
                        "detail",
                        detail)));
    }
}
