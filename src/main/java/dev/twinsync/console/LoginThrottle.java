package dev.twinsync.console;

import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Slows down whoever guesses passwords: after five failures for a name from an address each further one doubles the
 * wait, from 15 seconds to 15 minutes. It is kept in memory, of the last ten thousand.
 */
@Component
class LoginThrottle {

    private static final int FREE = 5;
    private static final Duration FIRST = Duration.ofSeconds(15);
    private static final Duration LONGEST = Duration.ofMinutes(15);
    private static final int MOST = 10_000;

    private record Failures(int count, Instant until) {}

    private final Map<String, Failures> failures = new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Failures> eldest) {
            return size() > MOST;
        }
    };

    synchronized void failed(HttpServletRequest request) {
        Failures before = failures.getOrDefault(key(request), new Failures(0, Instant.EPOCH));
        int count = before.count() + 1;
        Duration wait = count < FREE ? Duration.ZERO : FIRST.multipliedBy(1L << Math.min(count - FREE, 10));
        failures.put(
                key(request), new Failures(count, Instant.now().plus(wait.compareTo(LONGEST) > 0 ? LONGEST : wait)));
    }

    synchronized void passed(HttpServletRequest request) {
        failures.remove(key(request));
    }

    /** Seconds to wait, 0 for none. */
    synchronized long wait(HttpServletRequest request) {
        Failures known = failures.get(key(request));
        return known == null
                ? 0
                : Math.max(0, (Duration.between(Instant.now(), known.until()).toMillis() + 999) / 1000);
    }

    /** Answers an attempt that comes too soon, before the password is looked at. */
    Filter filter() {
        return new OncePerRequestFilter() {
            @Override
            protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
                    throws ServletException, IOException {
                if ("POST".equals(request.getMethod()) && "/login".equals(request.getServletPath())) {
                    long wait = LoginThrottle.this.wait(request);
                    if (wait > 0) {
                        response.sendRedirect("/login?wait=" + wait);
                        return;
                    }
                }
                chain.doFilter(request, response);
            }
        };
    }

    private static String key(HttpServletRequest request) {
        String name = String.valueOf(request.getParameter("username"));
        return (name.length() > 100 ? name.substring(0, 100) : name).toLowerCase(Locale.ROOT)
                + '|'
                + request.getRemoteAddr();
    }
}
