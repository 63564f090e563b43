package dev.twinsync.console;

import dev.twinsync.api.Problem;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.util.NoSuchElementException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.TypeMismatchException;
import org.springframework.core.Ordered;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.stereotype.Component;
import org.springframework.web.ErrorResponse;
import org.springframework.web.method.annotation.MethodArgumentTypeMismatchException;
import org.springframework.web.servlet.HandlerExceptionResolver;
import org.springframework.web.servlet.ModelAndView;

/** Makes every failure of a console page a page, as the API makes each of its own a problem document. */
@Component
class ConsoleErrors implements HandlerExceptionResolver, Ordered {

    private static final Logger LOG = LoggerFactory.getLogger(ConsoleErrors.class);

    private final ConsoleWeb web;

    ConsoleErrors(ConsoleWeb web) {
        this.web = web;
    }

    @Override
    public int getOrder() {
        return Ordered.HIGHEST_PRECEDENCE;
    }

    @Override
    public ModelAndView resolveException(
            HttpServletRequest request, HttpServletResponse response, Object handler, Exception e) {
        String path = request.getServletPath();
        if (!path.equals("/console") && !path.startsWith("/console/") && !path.matches("/(assets|webjars)/.*")) {
            return null;
        }
        HttpStatus status = HttpStatus.INTERNAL_SERVER_ERROR;
        String detail = null;
        if (e instanceof NoSuchElementException) {
            status = HttpStatus.NOT_FOUND;
            detail = e.getMessage();
        } else if (e instanceof Problem problem) {
            status = HttpStatus.valueOf(problem.detail().getStatus());
            detail = problem.getMessage();
        } else if (e instanceof ErrorResponse answer) {
            status = HttpStatus.valueOf(answer.getStatusCode().value());
            ProblemDetail body = answer.getBody();
            detail = status == HttpStatus.NOT_FOUND ? null : body.getDetail();
        } else if (e instanceof TypeMismatchException) {
            // a word where the address has a number, or such
            status = HttpStatus.BAD_REQUEST;
            if (e instanceof MethodArgumentTypeMismatchException mismatch) {
                boolean flag = mismatch.getRequiredType() == boolean.class;
                detail = mismatch.getName() + (flag ? ": write true or false" : ": write a number");
            }
        } else {
            LOG.error("a page failed: {}", path, e);
        }
        response.setStatus(status.value());
        return new ModelAndView("error")
                .addObject("status", status.value())
                .addObject("detail", detail)
                .addObject("shell", web.shell(request));
    }
}
